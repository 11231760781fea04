"""Small files in the shape of what each exporter writes, imported by one command each."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.errors import ConfigError
from pipelines.importers.exports.auto import import_planned, plan
from pipelines.importers.exports.formats import format_named
from pipelines.importers.exports.names import names_of_formats
from pipelines.importers.mapping import Mapping
from pipelines.importers.variants.shaping import OF_REPLACED
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

NOON = datetime(2024, 6, 15, 12)
Products = dict[str, dict[str, Any]]


def imported(
    folder: Path, name: str, text: str, form: str = "", **more: Any
) -> tuple[Products, QualityReport]:
    """Return the products by id, each attribute as its values, and the report."""
    (folder / name).write_text(text, encoding="utf-8")
    planned = plan(folder / name, name=form, **more)
    report = import_planned(planned, folder / name, folder / "shop", silent, at=NOON)
    batches = Shop(folder / "shop").product_batches()
    rows = [row for batch in batches for row in batch.to_pylist()]
    for row in rows:
        values: dict[str, list[str]] = {}
        for key, value in row["attributes"]:
            values.setdefault(key, []).append(value)
        row["attributes"] = {key: several[0] if len(several) == 1 else several
                             for key, several in values.items()}  # fmt: skip
    return {row["id"]: row for row in rows}, report


def seen(product: dict[str, Any], *fields: str) -> tuple[Any, ...]:
    return tuple(product[field] for field in fields)


OLD = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,"
    "Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Inventory Tracker,"
    "Variant Inventory Qty,Variant Inventory Policy,Variant Price,Variant Compare At Price,"
    "Variant Barcode,Image Src,Image Position,Variant Image,Status"
)
NEW = (
    "URL handle,Title,Description,Vendor,Product category,Type,Tags,Published on online store,"
    "Option1 name,Option1 value,Option2 name,Option2 value,SKU,Inventory tracker,"
    "Inventory quantity,Continue selling when out of stock,Price,Compare-at price,"
    "Barcode,Product image URL,Image position,Variant image URL,Status"
)
SHOPIFY = """
shirt,Linen Shirt,<p>Soft &amp; light</p>,Corner,Apparel > Clothing,Shirts,"linen, summer",TRUE,Size,S,Color,White,LS-S,shopify,4,deny,40.00,50.00,4006381333931,https://cdn/a.jpg,1,,active
shirt,,,,,,,,,M,,White,LS-M,shopify,0,deny,40.00,,,https://cdn/b.jpg,2,,
shirt,,,,,,,,,L,,White,LS-L,shopify,0,continue,42.00,,,,,https://cdn/l.jpg,
poster,Poster,,Corner,,Posters,,TRUE,Title,Default Title,,,POS,,0,deny,9.90,,,https://cdn/p.jpg,1,,active
poster,,,,,,,,,,,,,,,,,,,https://cdn/q.jpg,2,,
draft,Secret,,,,,,FALSE,Title,Default Title,,,SEC,,0,deny,9.90,,,,,,draft
draft,,,,,,,,,,,,,,,,,,,https://cdn/s.jpg,2,,
old,Old,,,,,,TRUE,Title,Default Title,,,OLD,,0,deny,9.90,,,,,,archived
"""


@pytest.mark.parametrize("header", [OLD, NEW])
def test_shopify(tmp_path: Path, header: str) -> None:
    found, report = imported(tmp_path, "products.csv", header + SHOPIFY, currency="eur")

    assert [one["title"] for one in found.values()] == [
        "Linen Shirt, S", "Linen Shirt, M", "Linen Shirt, L", "Poster",
    ]  # fmt: skip
    small = found["LS-S"]
    assert seen(small, "price", "currency", "brand", "item_group_id") == (
        40,
        "EUR",
        "Corner",
        "shirt",
    )
    assert small["description"] == "Soft & light"
    assert small["categories"] == ["Apparel > Clothing > Shirts"]
    assert small["tags"] == ["linen", "summer"]
    attributes = {key: small["attributes"][key] for key in ("sku", "gtin", "size", "color")}
    assert attributes == {"sku": "LS-S", "gtin": "4006381333931", "size": "S", "color": "White"}
    assert small["attributes"]["regular_price"] == "50.00"
    assert found["LS-M"]["attributes"]["size"] == "M"
    assert found["LS-L"]["images"] == [
        "https://cdn/l.jpg",
        "https://cdn/a.jpg",
        "https://cdn/b.jpg",
    ]
    assert found["POS"]["images"] == ["https://cdn/p.jpg", "https://cdn/q.jpg"]
    assert [one["availability"] for one in found.values()] == [
        "IN_STOCK", "OUT_OF_STOCK", "BACKORDER", "IN_STOCK",
    ]  # fmt: skip
    assert (report.rows_read, report.rows_kept, report.refused) == (8, 4, {})
    assert "read as Shopify's product export" in report.notes[0]
    assert "'Handle' and 'Option1 Name'" in report.notes[0] or header == NEW


ENGLISH = (
    'ID,Type,SKU,Name,Published,"Is featured?","Visibility in catalog","Short description",'
    'Description,"Date sale price starts","Date sale price ends","In stock?",Stock,'
    '"Backorders allowed?","Sale price","Regular price",Categories,Tags,Images,Parent,'
    '"Attribute 1 name","Attribute 1 value(s)"'
)
GERMAN = (
    'ID,Typ,Artikelnummer,Name,Veröffentlicht,"Ist hervorgehoben?","Sichtbarkeit im Katalog",'
    'Kurzbeschreibung,Beschreibung,"Datum, an dem der Angebotspreis beginnt",'
    '"Datum, an dem der Angebotspreis endet",Vorrätig?,Lager,"Lieferrückstände erlaubt?",'
    "Angebotspreis,Regulärer Preis,Kategorien,Schlagwörter,Bilder,Übergeordnetes Produkt,"
    '"Attribut 1 Name","Attribut 1 Wert(e)"'
)
FRENCH = (
    'ID,Type,UGS,Nom,Publié,"Mis en avant ?","Visibilité dans le catalogue",'
    '"Description courte",Description,"Date de début de promo","Date de fin de promo",'
    '"En stock ?",Stock,"Autoriser les commandes de produits en rupture ?","Tarif promo",'
    '"Tarif régulier",Catégories,Étiquettes,Images,Parent,"Nom de l\u2019attribut 1",'
    '"Valeur(s) de l\u2019attribut 1"'
)
SPANISH = (
    'ID,Tipo,SKU,Nombre,Publicado,"¿Está destacado?","Visibilidad en el catálogo",'
    '"Descripción corta",Descripción,"Día en que empieza el precio rebajado",'
    '"Día en que termina el precio rebajado","¿En inventario?",Inventario,'
    '"¿Permitir reservas de productos agotados?","Precio rebajado","Precio normal",Categorías,'
    'Etiquetas,Imágenes,Superior,"Nombre del atributo 1","Valor(es) del atributo 1"'
)
WOO = """
44,variable,HOOD,Hoodie,1,0,visible,,<b>Warm</b>,,,1,,0,,,"{paths}",,"{images}",,Color,"Red"
45,variation,HOOD-R,Hoodie - Red,1,0,visible,,,,,1,,0,35,42,,,https://x/r.jpg,id:44,Color,Red
46,variation,HOOD-B,Hoodie,1,0,visible,,,2019-01-01,2019-02-01,0,,0,35,45,,,,HOOD,Color,Blue
47,simple,CAP,Cap,1,0,visible,,,2024-06-01,2024-06-30,backorder,,1,14,18,Clothing > Caps,,,,,
48,simple,HID,Hidden,1,0,hidden,,,,,1,,0,,5,,,,,,
49,simple,DRA,Draft,-1,0,visible,,,,,1,,0,,5,,,,,,
50,"simple, virtual",ALB,Album,1,0,visible,,,,,1,,0,,15,Music,,,,,
"""
WOO = WOO.replace("{images}", "https://x/h.jpg, https://x/i.jpg")
WOO = WOO.replace("{paths}", "Clothing > Hoodies, Sale")


POLISH = (
    "ID,Rodzaj,SKU,Nazwa,Opublikowano,Wyróżniony?,Widoczność w katalogu,Krótki opis,W magazynie?,"
    "Cena promocyjna,Cena,Kategorie,Obrazki,Nadrzędny,Nazwa atrybutu 1,Wartości atrybutu 1"
)


def test_woocommerce_in_polish(tmp_path: Path) -> None:
    rows = (
        '10,simple,A-1,Kubek,1,0,visible,Ładny,1,,"24,90",Kuchnia > Kubki,https://x/1.jpg,,Kolor,Biały\n'
        '11,simple,A-2,Czajnik,1,0,visible,,0,"89,00","99,00",Kuchnia,,,,\n'
    )

    products, report = imported(tmp_path, "wc.csv", f"{POLISH}\n{rows}")

    assert "WooCommerce" in report.notes[0]
    assert seen(products["10"], "price", "availability") == (24.9, "IN_STOCK")
    assert products["10"]["attributes"]["kolor"] == "Biały"
    assert seen(products["11"], "price", "availability") == (89.0, "OUT_OF_STOCK")


@pytest.mark.parametrize("header", [ENGLISH, GERMAN, FRENCH, SPANISH])
def test_woocommerce_in_four_languages(tmp_path: Path, header: str) -> None:
    found, report = imported(tmp_path, "wc-product-export.csv", header + WOO)

    assert list(found) == ["45", "46", "47", "50"]
    red, blue, cap, album = found.values()
    assert seen(red, "title", "price", "item_group_id") == ("Hoodie - Red", 35, "44")
    assert red["attributes"] == {"sku": "HOOD-R", "color": "Red", "regular_price": "42.00"}
    assert red["images"] == ["https://x/r.jpg"]
    assert set(red["categories"]) == {"Clothing > Hoodies", "Sale"}
    assert seen(blue, "title", "price", "availability") == ("Hoodie, Blue", 45, "OUT_OF_STOCK")
    assert blue["images"] == ["https://x/h.jpg", "https://x/i.jpg"]
    assert seen(cap, "price", "availability") == (14, "BACKORDER")
    assert seen(album, "price", "categories") == (15, ["Music"])
    assert report.refused == {}
    assert "read as WooCommerce's product export" in report.notes[0]


def test_prestashop(tmp_path: Path) -> None:
    text = (
        "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax included;Tax rules ID;"
        "Wholesale price;On sale (0/1);Discount amount;Discount percent;"
        "Discount from (yyyy-mm-dd);Discount to (yyyy-mm-dd);Reference #;Supplier reference #;"
        "Supplier;Manufacturer;EAN13;UPC;MPN;Quantity;Summary;Description;Tags (x,y,z...);"
        "Image URLs (x,y,z...);Feature(Name:Value:Position);"
        "Available for order (0 = No, 1 = Yes);Out of stock action\n"
        "1;1;Mug;Home,Accessories;12,90;1;;0;;10;2024-06-01;2024-06-30;demo_1;;;Studio;"
        "5901234123457;;M-1;5;Nice;<p>Very nice</p>;mug,gift;https://x/1.jpg,https://x/2.jpg;"
        "Composition:Ceramic:1,Size:M:2;1;0\n"
        "2;1;Poster;Home,Art;29,00;1;;0;;;;;demo_2;;;;;;;0;;;;;;1;0\n"
        "3;0;Gone;Home;9,00;1;;0;;;;;demo_3;;;;;;;3;;;;;;1;0\n"
    )

    found, report = imported(tmp_path, "products_import.csv", text)

    mug, poster = found.values()
    assert seen(mug, "title", "price", "brand") == ("Mug", 11.61, "Studio")
    assert mug["attributes"] == {
        "sku": "demo_1", "gtin": "5901234123457", "mpn": "M-1", "composition": "Ceramic",
        "size": "M", "regular_price": "12.90",
    }  # fmt: skip
    assert mug["images"] == ["https://x/1.jpg", "https://x/2.jpg"]
    assert (mug["availability"], poster["availability"]) == ("IN_STOCK", "OUT_OF_STOCK")
    assert "read as PrestaShop's product table" in report.notes[0]


def test_magento(tmp_path: Path) -> None:
    text = (
        "sku,store_view_code,attribute_set_code,product_type,categories,product_websites,name,"
        "description,product_online,visibility,price,special_price,special_price_from_date,"
        "special_price_to_date,url_key,base_image,additional_attributes,qty,is_in_stock,"
        "additional_images,configurable_variations\n"
        'MH-XS,,Top,simple,"Default Category/Men/Tops",base,Hoodie-XS,,1,'
        "Not Visible Individually,52.00,42.00,5/1/24,7/1/24,mh-xs,/m/h/x.jpg,"
        '"color=Black,manufacturer=Luma,size=XS",100,1,,\n'
        'MH-S,,Top,simple,"Default Category/Men/Tops",base,Hoodie-S,,1,'
        'Not Visible Individually,52.00,,,,mh-s,,"color=Black,size=S",0,0,,\n'
        'MH,,Top,configurable,"Default Category/Men,Default Category/Men/Tops",base,Hoodie,'
        'Warm,1,"Catalog, Search",,,,,mh,/m/h/main.jpg,,0,1,/m/h/alt.jpg,'
        '"sku=MH-XS,size=XS,color=Black|sku=MH-S,size=S,color=Black"\n'
        'MH,german,Top,configurable,,base,Kapuzenpulli,,,,,,,,,,,,,,\n'
        'BAG,,Bag,simple,"Default Category/Gear",base,Bag,,1,"Catalog, Search",34.00,30.00,'
        "1/1/19,1/31/19,bag,,,0,1,,\n"
        'OFF,,Bag,simple,"Default Category/Gear",base,Off,,2,"Catalog, Search",1,,,,off,,,1,1,,\n'
    )  # fmt: skip

    found, report = imported(tmp_path, "catalog_product.csv", text)

    assert list(found) == ["MH-XS", "MH-S", "BAG"]
    small = found["MH-XS"]
    assert seen(small, "title", "price", "item_group_id", "brand") == (
        "Hoodie-XS",
        42,
        "MH",
        "Luma",
    )
    assert small["categories"] == ["Default Category > Men > Tops"]
    assert small["attributes"]["regular_price"] == "52.00"
    assert (small["attributes"]["size"], small["attributes"]["color"]) == ("XS", "Black")
    assert found["MH-S"]["availability"] == "OUT_OF_STOCK"
    assert found["MH-S"]["images"] == ["/m/h/main.jpg", "/m/h/alt.jpg"]
    assert seen(found["BAG"], "price", "availability") == (34, "IN_STOCK")
    assert report.refused == {}


def test_bigcommerce_in_both_of_its_forms(tmp_path: Path) -> None:
    new = (
        "Item,ID,Name,Type,SKU,Options,Inventory Tracking,Current Stock,Low Stock,Price,"
        "Retail Price,Sale Price,Brand,Categories,Description,Image URL (Import),Is Visible?,"
        "UPC/EAN,Manufacturer Part Number\n"
        "Product,77,Tee,physical,TEE,,variant,0,0,20,25,,Acme,Home/Tees;Home/Sale,Soft,,TRUE,,\n"
        "Variant,101,,,TEE-S,Type=Rectangle|Name=Size|Value=S,,4,0,,,,,,,,,0012345678905,\n"
        "Variant,102,,,TEE-M,Type=Rectangle|Name=Size|Value=M,,0,0,22,,,,,,,,,\n"
        "Image,1,,,,,,,,,,,,,,https://x/t.jpg,,,\n"
        "Product,78,Jug,physical,JUG,,none,0,0,9,,7,,Home,,,TRUE,,J-1\n"
        "Product,79,Off,physical,OFF,,none,0,0,9,,,,Home,,,FALSE,,\n"
    )
    old = (
        "Item Type,Product ID,Product Name,Product Code/SKU,Brand Name,Option Set,Price,"
        "Retail Price,Sale Price,Product Visible?,Track Inventory,Current Stock Level,"
        "Low Stock Level,Category,Product Image File - 1,Product Image File - 2,Product UPC/EAN\n"
        "Product,55,Tee,TEE,Acme,Sizes,20,,,Y,by option,0,0,Home/Tees;Home/Sale,a.jpg,b.jpg,\n"
        "SKU,,[S]Size=S,TEE-S,,,,,,,,5,0,,,,0012345678905\n"
        "SKU,,[S]Size=M,TEE-M,,,,,,,,0,0,,,,\n"
        "Rule,,,,,,,,,,,,,,,,\n"
        "Product,56,Jug,JUG,,,9,,7,Y,none,0,0,Home,,,\n"
    )

    first, _ = imported(tmp_path, "new.csv", new)
    second, report = imported(tmp_path, "old.csv", old)

    for found in (first, second):
        assert list(found) == ["TEE-S", "TEE-M", "JUG"]
        assert seen(found["TEE-S"], "title", "price", "brand") == ("Tee, S", 20, "Acme")
        assert found["TEE-S"]["attributes"]["gtin"] == "0012345678905"
        assert set(found["TEE-S"]["categories"]) == {"Home > Tees", "Home > Sale"}
        assert [one["availability"] for one in found.values()][1:] == ["OUT_OF_STOCK", "IN_STOCK"]
        assert seen(found["JUG"], "price") == (7,)
    assert first["TEE-S"]["images"] == ["https://x/t.jpg"]
    assert second["TEE-S"]["images"] == ["a.jpg", "b.jpg"]
    assert report.refused == {}


def test_squarespace(tmp_path: Path) -> None:
    text = (
        "Product ID [Non Editable],Variant ID [Non Editable],Product Type [Non Editable],"
        "Product Page,Product URL,Title,Description,SKU,Option Name 1,Option Value 1,Price,"
        "Sale Price,On Sale,Stock,Categories,Tags,Visible,Hosted Image URLs\n"
        "5f1,v1,PHYSICAL,store,tee,Tee,<p>Soft</p>,SQ1,Size,S,20.00,15.00,Yes,3,/tees,soft,Yes,"
        "https://x/1.jpg https://x/2.jpg\n"
        ",v2,,,,,,SQ2,,M,20.00,15.00,No,0,,,,\n"
        "5f2,v3,PHYSICAL,store,jug,Jug,,,,,9.00,0.00,No,Unlimited,,,Yes,\n"
        "5f3,v4,PHYSICAL,store,off,Off,,SQ4,,,9.00,0.00,No,1,,,No,\n"
    )

    found, report = imported(tmp_path, "products.csv", text)

    assert list(found) == ["SQ1", "SQ2", "v3"]
    assert [one["title"] for one in found.values()] == ["Tee, S", "Tee, M", "Jug"]
    assert [one["price"] for one in found.values()] == [15, 20, 9]
    assert [one["availability"] for one in found.values()] == [
        "IN_STOCK", "OUT_OF_STOCK", "IN_STOCK",
    ]  # fmt: skip
    assert found["SQ2"]["images"] == ["https://x/1.jpg", "https://x/2.jpg"]
    assert report.refused == {}


OTHERS = {
    "ecwid": (
        "type,product_internal_id,product_sku,product_name,product_price,"
        "product_compare_to_price,product_is_available,product_quantity,product_brand,"
        "product_category_1,product_media_main_image_url\n"
        "product,1,E1,Tee,20,25,true,3,Acme,Tees,https://x/1.jpg\n"
        "product_option,1,,,,,,,,,\n"
        "product,2,E2,Off,20,,false,3,,,\n",
        {"E1": ("Tee", 20, "IN_STOCK")},
    ),
    "opencart": (
        "product_id,name(en-gb),categories,sku,upc,ean,mpn,model,quantity,manufacturer,"
        "image_name,price,points,status,stock_status_id,date_available,subtract,minimum,"
        "description(en-gb)\n"
        "30,Canon EOS,26,S1,,5901234123457,,Product 3,0,Canon,c.jpg,100.0,0,true,7,2009-02-03,"
        "true,1,Nice\n"
        "31,Off,26,,,,,P,1,,,1.0,0,false,7,2009-02-03,true,1,\n",
        {"30": ("Canon EOS", 100, "OUT_OF_STOCK")},
    ),
    "shopware": (
        "id;parent_id;product_number;active;stock;name;description;price_net;price_gross;"
        "tax_rate;cover_media_url;manufacturer_name\n"
        "a1;;SW1;1;0;Shirt;Nice;8.40;10.00;19;https://x/1.jpg;Acme\n"
        "a2;a1;SW1.1;1;5;;;;;19;;\n"
        "a3;;SW2;1;5;Jug;;4.20;5.00;19;;\n",
        {"SW1.1": ("Shirt", 10, "IN_STOCK"), "SW2": ("Jug", 5, "IN_STOCK")},
    ),
    "shopware5": (
        "ordernumber;mainnumber;name;supplier;tax;price_EK;pseudoprice_EK;active;instock;"
        "description_long\n"
        "A1;A1;Shirt;Acme;19;10;12;1;5;Nice\nA2;A1;Shirt;Acme;19;10;;1;0;\n",
        {"A1": ("Shirt", 10, "IN_STOCK"), "A2": ("Shirt", 10, "OUT_OF_STOCK")},
    ),
    "akeneo": (
        "sku;categories;enabled;family;groups;parent;name-en_US;description-en_US-ecommerce;"
        "price-EUR;ean\n"
        "k1;tees,sale;1;tops;;model1;Tee;Nice;20.00;5901234123457\nk2;;0;tops;;;Off;;1;\n",
        {"k1": ("Tee", 20, "IN_STOCK")},
    ),
    "amazon": (
        "item_sku\titem_name\texternal_product_id\texternal_product_id_type\tbrand_name\t"
        "standard_price\tquantity\tmain_image_url\tparent_child\tparent_sku\tvariation_theme\t"
        "color_name\tsale_price\tsale_from_date\tsale_end_date\n"
        "P\tTee\t\t\tAcme\t\t\thttps://x/1.jpg\tParent\t\tColor\t\t\t\t\n"
        "P-R\tTee Red\t0012345678905\tUPC\tAcme\t20\t3\t\tChild\tP\tColor\tRed\t15\t2024-06-01\t"
        "2024-06-30\n",
        {"P-R": ("Tee Red", 15, "IN_STOCK")},
    ),
    "amazon_listings": (
        "item-name\titem-description\tlisting-id\tseller-sku\tprice\tquantity\topen-date\t"
        "image-url\tproduct-id-type\tasin1\tproduct-id\n"
        "Cup\tNice\tL1\tA-1\t9.99\t0\t2020-01-01\t\t1\tB000000001\tB000000001\n",
        {"A-1": ("Cup", 9.99, "OUT_OF_STOCK")},
    ),
    "ebay": (
        "*Action(SiteID=US),CustomLabel,*Title,*StartPrice,*Quantity,PicURL,*ConditionID,C:Brand,"
        "Relationship,RelationshipDetails\n"
        "Add,E1,Tee,,,https://x/1.jpg,1000,Acme,,Size=S;M\n"
        ",E1-S,,20,3,,,,Variation,Size=S\n,E1-M,,20,0,,,,Variation,Size=M\n"
        "Add,E2,Jug,9,1,https://x/2.jpg|https://x/3.jpg,1000,,,\n",
        {"E1-S": ("Tee, S", 20, "IN_STOCK"), "E1-M": ("Tee, M", 20, "OUT_OF_STOCK"),
         "E2": ("Jug", 9, "IN_STOCK")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", OTHERS)
def test_other_exporters(tmp_path: Path, form: str) -> None:
    text, expected = OTHERS[form]
    suffix = ".tsv" if "\t" in text else ".csv"

    found, report = imported(tmp_path, f"export{suffix}", text)

    assert {i: seen(one, "title", "price", "availability") for i, one in found.items()} == expected
    assert f"read as {format_named(form).title}" in report.notes[0]
    assert report.refused == {}


MAGENTO_1 = """
sku,_store,_attribute_set,_type,_category,_root_category,name,price,special_price,special_from_date,status,visibility,manufacturer,color,is_in_stock,_media_image,_super_products_sku,_super_attribute_code,_super_attribute_option
nokia,,Phones,simple,Electronics/Phones,Default Category,Nokia 2610,149.9900,,,1,4,Nokia,,1,/n.jpg,,,
,,,,Electronics,Default Category,,,,,,,,,,/n-b.jpg,,,
,french,,,,,Téléphone Nokia,,,,,,,,,,,,
tee-red,,Tops,simple,,,Tee red,9,,,1,1,,Red,1,,,,
tee-blue,,Tops,simple,,,Tee blue,9,7,2020-01-01 00:00:00,1,1,,Blue,0,,,,
tee,,Tops,configurable,Tops,Default Category,Tee,9,,,1,4,,,1,/t.jpg,tee-red,color,Red
,,,,Men/Tees,Default Category,,,,,,,,,,/t-b.jpg,tee-blue,color,Blue
,french,,,Hommes,,T-shirt,,,,,,,,,/f.jpg,,,
old,,Phones,simple,,,Old,3,,,2,4,,,0,,,,
,,,,More,Default Category,,,,,,,,,,/o.jpg,,,
"""  # noqa: E501


def test_rows_without_a_sku_go_on_with_the_product_above_in_magento_1(tmp_path: Path) -> None:
    products, report = imported(tmp_path, "goods.csv", MAGENTO_1.lstrip())

    assert set(products) == {"nokia", "tee-red", "tee-blue"}
    assert products["nokia"]["title"] == "Nokia 2610"
    assert products["nokia"]["categories"] == ["Electronics > Phones", "Electronics"]
    assert products["nokia"]["images"] == ["/n.jpg", "/n-b.jpg"]
    assert {products[one]["item_group_id"] for one in ("tee-red", "tee-blue")} == {"tee"}
    assert seen(products["tee-blue"], "price", "availability") == (7.0, "OUT_OF_STOCK")
    for one in ("tee-red", "tee-blue"):
        assert products[one]["categories"] == ["Tops", "Men > Tees"]
        assert products[one]["images"] == ["/t.jpg", "/t-b.jpg"]
    assert any(OF_REPLACED in remark.kind for remark in report.remarks)
    assert "the product export of Magento 1" in report.notes[0]


WIX = """
handleId,fieldType,name,description,productImageUrl,collection,sku,ribbon,price,surcharge,visible,discountMode,discountValue,inventory,weight,productOptionName1,productOptionType1,productOptionDescription1,productOptionName2,productOptionType2,productOptionDescription2,brand
p1,Product,Wool Sock,<p>Warm</p>,a.jpg;b.jpg,Socks;Winter,,New,10.00,,true,PERCENT,20.0,InStock,0.1,Size,DROP_DOWN,S;L,Color,COLOR,#000000:Black;#ffffff:White,Knit
p1,Variant,,,,,SOCK-S,,,,,,,InStock,0.1,,,S,,,#000000:Black,
p1,Variant,,,,,SOCK-L,,,2.50,,,,0,0.1,,,L,,,#ffffff:White,
p2,Product,Scarf,,c.jpg,Scarves,SC-1,,30.00,,true,AMOUNT,5,12,0.1,,,,,,,Knit
p3,Product,Hat,,c.jpg,Hats,HAT,,30.00,,false,AMOUNT,0.0,OutOfStock,0.1,,,,,,,Knit
"""  # noqa: E501


def test_variants_of_wix_cost_more_and_its_sales_are_shares_or_amounts(tmp_path: Path) -> None:
    products, _ = imported(tmp_path, "catalog_products.csv", WIX.lstrip())

    assert {one: product["price"] for one, product in products.items()} == {
        "SOCK-S": 8.0, "SOCK-L": 10.0, "SC-1": 25.0,
    }  # fmt: skip
    assert products["SOCK-L"]["title"] == "Wool Sock, L, White"
    assert seen(products["SOCK-L"], "item_group_id", "availability") == ("p1", "OUT_OF_STOCK")
    assert products["SOCK-L"]["attributes"]["color"] == "White"
    assert seen(products["SOCK-S"], "categories", "images") == (
        ["Socks", "Winter"], ["a.jpg", "b.jpg"],
    )  # fmt: skip


ETSY = """
TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,TAGS,MATERIALS,IMAGE1,IMAGE2,VARIATION 1 TYPE,VARIATION 1 NAME,VARIATION 1 VALUES,SKU
Hand &amp; Heart Mug,"Lovely, isn&#39;t it",18.00,GBP,4,"mug,handmade_gift","Ceramic,Glaze",https://i/1.jpg,https://i/2.jpg,,,,MUG-1
Wood Spoon,x,7.00,GBP,0,,,https://i/4.jpg,,PRIMARY_COLOR,Color,"Oak,Ash",
"""  # noqa: E501


def test_a_listing_of_etsy_without_a_sku_is_known_by_its_title(tmp_path: Path) -> None:
    products, _ = imported(tmp_path, "EtsyListingsDownload.csv", ETSY.lstrip())

    assert set(products) == {"MUG-1", "Wood Spoon-oak-ash"}
    assert seen(products["MUG-1"], "title", "price", "currency", "images", "tags") == (
        "Hand & Heart Mug", 18.0, "GBP", ["https://i/1.jpg", "https://i/2.jpg"],
        ["mug", "handmade_gift"],
    )  # fmt: skip
    assert products["Wood Spoon-oak-ash"]["availability"] == "OUT_OF_STOCK"
    assert products["Wood Spoon-oak-ash"]["attributes"]["color"] == ["Oak", "Ash"]


@pytest.mark.parametrize(
    "header",
    [
        "ID;Image;Nom;Référence;Catégorie;Prix (HT);Prix (TTC);Quantité;État",
        "ID;Imagen;Nombre;Referencia;Categoría;Precio (imp. excl.);Precio (imp. incl.);"
        "Cantidad;Estado",
        "ID;Immagine;Nome;Riferimento;Categoria;Prezzo (tasse escl.);Prezzo (tasse incl.);"
        "Quantità;Stato",
    ],
)
def test_the_list_of_prestashop_in_other_languages(tmp_path: Path, header: str) -> None:
    rows = (
        "1;https://x/1.jpg;Tee;demo_1;Men;23,90 €;28,68 €;12;1\n2;;Cup;d2;Men;1,00 €;1,20 €;0;0\n"
    )

    products, report = imported(tmp_path, "list.csv", f"{header}\n{rows}")

    assert "PrestaShop" in report.notes[0]
    assert seen(products["1"], "title", "price", "categories") == ("Tee", 28.68, ["Men"])
    assert products["1"]["attributes"]["sku"] == "demo_1"
    assert set(products) == {"1"}


def test_columns_that_many_shops_have_are_no_file_of_best_buy(tmp_path: Path) -> None:
    text = "sku,name,manufacturer,category,model,price\n1,Drill,Bosch,Tools,GSB 18,99\n"

    products, report = imported(tmp_path, "goods.csv", text)

    assert "of no exporter that is known" in report.notes[0]
    assert products["1"]["currency"] == ""


@pytest.mark.parametrize("name", names_of_formats())
def test_every_format_is_a_mapping_and_names_its_source(name: str) -> None:
    form = format_named(name)

    assert form.source.startswith("https://")
    assert len(form.marks) >= form.needs > 1
    sections = {**form.mapping, "columns": form.mapping.get("columns", {"id": "a", "title": "b"})}
    text = msgspec.json.encode(sections).decode()
    assert set(sections) <= set(Mapping.__struct_fields__), text


def test_long_texts_of_many_lines_do_not_hide_the_header(tmp_path: Path) -> None:
    texts = ["".join(f"<li>line {i}, of {n}</li>\n" for i in range(n)) for n in (60, 700, 60)]
    rows = (
        f'p{n},Poster {n},"{text}",Corner,,Posters,,TRUE,Title,Default Title,,,S{n},,0,deny,9.90,,,'
        ",,,active"
        for n, text in enumerate(texts)
    )

    products, report = imported(tmp_path, "products.csv", "\n".join([OLD, *rows]) + "\n")

    assert list(products) == ["S0", "S1", "S2"]
    assert "line 699, of 700" in products["S1"]["description"]
    assert not report.refused


def test_lines_above_a_header_may_have_as_many_cells(tmp_path: Path) -> None:
    above = "sep=;\nPreisliste;;\nStand: 30.11.2026;;\n;;\n"

    products, _ = imported(
        tmp_path, "a.csv", above + "Artikelnummer;Bezeichnung;Preis\n1;Brot;2,50\n"
    )

    assert products["1"]["price"] == 2.5


def test_a_sku_of_woocommerce_that_is_the_id_of_another(tmp_path: Path) -> None:
    table = (
        "ID,Type,SKU,Name,Published,In stock?,Regular price,Categories,Parent,Attribute 1 name,"
        "Attribute 1 value(s)\n"
        "14,simple,,Cap,1,1,15,Hats,,,\n"
        '20,variable,14,Hoodie,1,1,,Tops,,Size,"S, M"\n'
        "21,variation,14-S,Hoodie - S,1,1,30,,14,Size,S\n"
        "22,variation,14-M,Hoodie - M,1,1,30,,id:20,Size,M\n"
    )

    products, _ = imported(tmp_path, "products.csv", table)

    assert list(products) == ["14", "21", "22"]
    assert [products[one]["item_group_id"] for one in ("14", "21", "22")] == ["", "20", "20"]
    assert products["21"]["categories"] == ["Tops"]


def test_the_price_with_tax_of_prestashops_list(tmp_path: Path) -> None:
    table = (
        '"Product ID";"Image";"Name";"Reference";"Category";"Price (tax excl.)";'
        '"Price (tax incl.)";"Quantity";"Status"\n'
        '"1";"";"Shirt";"R1";"Men";"19,12 €";"22,94 €";5;1\n'
    )

    products, _ = imported(tmp_path, "products.csv", table)

    assert products["1"]["price"] == 22.94


def test_products_with_very_many_tags_are_kept(tmp_path: Path) -> None:
    tags = ", ".join(f"tag {n}" for n in range(120))
    row = (
        f'a,A,,V,,T,"{tags}, {"x" * 230}",TRUE,Title,Default Title,,,A1,,0,deny,5,,\'0042,,,,active'
    )

    products, report = imported(tmp_path, "products.csv", f"{OLD}\n{row}\n")

    assert len(products["A1"]["tags"]) == 100
    assert products["A1"]["attributes"]["gtin"] == "0042"
    kinds = {remark.kind for remark in report.remarks}
    assert {
        "products.csv: tags: of very many values of a product the first 100 are kept",
        "products.csv: tags of over 200 characters are left out",
    } <= kinds


def test_a_currency_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'XEU' is none of ISO 4217"):
        imported(tmp_path, "a.csv", "id,title\n1,Brot\n", currency="XEU")


def test_digits_that_a_spreadsheet_takes_for_text_below_a_cell_of_lines(tmp_path: Path) -> None:
    row = "m,Mug,\"Big\nmug\",V,,T,,TRUE,Title,Default Title,,,'0012,,0,deny,5,,'0042,,,,active"

    products, _ = imported(tmp_path, "products.csv", f"{OLD}\n{row}\n")

    assert products["0012"]["attributes"]["gtin"] == "0042"


def shopify_json(*variants: dict[str, Any], **more: Any) -> str:
    product = {
        "id": 632910392, "title": "Linen Shirt", "handle": "linen-shirt", "vendor": "Corner",
        "body_html": "<p>Soft</p>", "product_type": "Shirts", "tags": ["linen"],
        "published_at": "2024-01-01T00:00:00-05:00", "variants": list(variants),
        "options": [{"name": "Size", "position": 1}, {"name": "Color", "position": 2}],
        "images": [{"src": "https://cdn/a.jpg"}],
    }  # fmt: skip
    return msgspec.json.encode({"products": [product | more]}).decode()


SMALL = {"id": 1, "title": "S / White", "option1": "S", "option2": "White", "sku": "LS-S",
         "price": "40.00", "compare_at_price": "50.00", "available": True,
         "featured_image": {"src": "https://cdn/s.jpg"}}  # fmt: skip
LARGE = SMALL | {"id": 2, "option1": "L", "sku": "LS-L", "available": False}


def test_variants_of_shopify_in_json_are_those_of_its_table(tmp_path: Path) -> None:
    found, report = imported(tmp_path, "products.json", shopify_json(SMALL, LARGE))

    assert report.notes[0].startswith("products.json: read as products of Shopify as JSON")
    assert {key: one["item_group_id"] for key, one in found.items()} == {
        "LS-S": "linen-shirt", "LS-L": "linen-shirt",
    }  # fmt: skip
    small, large = found.values()
    assert (small["title"], large["title"]) == ("Linen Shirt, S", "Linen Shirt, L")
    assert seen(small, "price", "availability", "brand") == (40, "IN_STOCK", "Corner")
    assert large["availability"] == "OUT_OF_STOCK"
    assert small["images"] == ["https://cdn/s.jpg", "https://cdn/a.jpg"]
    assert small["attributes"] == {
        "sku": "LS-S", "handle": "linen-shirt", "size": "S", "color": "White",
        "regular_price": "50.00",
    }  # fmt: skip


@pytest.mark.parametrize("sku", ["", None])
def test_a_variant_in_json_without_a_sku_has_the_id_that_orders_name(
    tmp_path: Path, sku: str | None
) -> None:
    bare = [one | {"sku": sku} for one in (SMALL, LARGE)]

    found, _ = imported(tmp_path, "products.json", shopify_json(*bare))

    assert list(found) == ["1", "2"]


def test_the_stock_of_the_admin_api_counts_where_it_is_tracked(tmp_path: Path) -> None:
    stock = {"inventory_quantity": 0, "inventory_management": "shopify", "inventory_policy": "deny"}
    variants = [
        {key: value for key, value in one.items() if key != "available"} | stock
        for one in (SMALL, LARGE)
    ]
    variants[1] |= {"inventory_management": None}

    found, _ = imported(tmp_path, "products.json", shopify_json(*variants, status="active"))
    _, report = imported(
        tmp_path, "all.json", f"[{product_of(SMALL, 'draft')},{product_of(LARGE, 'active')}]"
    )

    assert [one["availability"] for one in found.values()] == ["OUT_OF_STOCK", "IN_STOCK"]
    assert report.rows_kept == 1


def product_of(variant: dict[str, Any], status: str) -> str:
    """Return one product of a list, with its own handle."""
    text = shopify_json(variant, status=status, handle=status)
    return text.removeprefix('{"products":[').removesuffix("]}")


def test_a_product_of_shopify_with_one_variant_is_one_product(tmp_path: Path) -> None:
    only = SMALL | {"option1": "Default Title", "option2": None}
    text = shopify_json(only, options=[{"name": "Title", "position": 1}])

    found, _ = imported(tmp_path, "products.json", text)

    assert seen(found["LS-S"], "title", "item_group_id") == ("Linen Shirt", "")


def test_variations_of_ecwid_have_their_own_sku_options_and_stock(tmp_path: Path) -> None:
    text = (
        "type,product_internal_id,product_sku,product_name,product_price,product_quantity,"
        "product_is_inventory_tracked,product_is_available,product_option_name,"
        "product_variation_sku,product_variation_option_{Size},product_attribute_{Fabric}\n"
        "product,1,TEE,Tee,20,0,true,true,,,,Linen\n"
        "product_option,1,,,,,,,Size,,,\n"
        "product_variation,1,,,21,3,,,,TEE-S,S,\n"
        "product_variation,1,,,22,0,,,,TEE-M,M,\n"
        "product,2,CUP,Cup,5,0,false,true,,,,\n"
    )

    found, _ = imported(tmp_path, "catalog.csv", text)

    assert {key: seen(one, "price", "availability") for key, one in found.items()} == {
        "TEE-S": (21, "IN_STOCK"), "TEE-M": (22, "OUT_OF_STOCK"), "CUP": (5, "IN_STOCK"),
    }  # fmt: skip
    assert [one["attributes"].get("size") for one in found.values()] == ["S", "M", None]
    assert found["TEE-S"]["item_group_id"] == found["TEE-M"]["item_group_id"] != ""
