"""Titles of one product each, and a search by which a shopper looks for it; `title | search`."""

# ruff: noqa: RUF001 - letters of many alphabets

COMPOUNDS = """
Vanilla Ice Cream tub | icecream vanilla
Dog Food with beef | dogfood beef
Toothpaste mint fresh | tooth paste mint
Tooth Brush soft | toothbrush soft
Wi-Fi Router dual band | wifi router
Head Phones over ear | headphones over ear
Earbuds wireless white | ear buds wireless
Sun Screen lotion | sunscreen lotion
Dish Washer Tablets lemon | dishwasher tablets
Red Bull Energy Drink | redbull
Coca-Cola Zero can | cocacola zero
Kit Kat Chunky bar | kitkat chunky
iPhone 14 Case clear | iphone14 case
Galaxy S21 screen protector | galaxy s 21 protector
Cross-body Bag brown | crossbody bag
Book Shelf tall oak | bookshelf oak
Raincoat yellow kids | rain coat yellow
Bed Sheet cotton king | bedsheet cotton
Lawnmower electric | lawn mower electric
Hair Dryer compact | hairdryer compact
Skateboard deck maple | skate board deck
T-Shirt men white | tshirt men
Pop Corn salted | popcorn salted
Flashlight LED | flash light led
Air Fryer basket | airfryer basket
Stroller buggyboard | buggy board stroller
"""
PLURALS = """
Chef Knife steel | chef knives
Steak Knives box | steak knife
Computer Mouse grey | computer mice
Toy Mice for cats | cat toy mouse
Wall Shelf pine | wall shelves
Children Raincoat | child raincoat
Women Running Shoes | woman running shoe
Loaf Tin baking | loaves tin
Silk Scarves twin | silk scarf
Foot Cream | feet cream
Teeth whitening kit | tooth whitening kit
Goose Down Pillow | geese down pillow
Potatoes bag | potato bag
Battery charger | batteries charger
Fig leaves tea | fig leaf tea
Cherry Tomatoes | cherry tomato
Wine Glasses crystal | wine glass crystal
Paint Brushes | paint brush
Baby Bibs | baby bib
Curtain Rods | curtain rod
Sandwich Boxes | sandwich box
Snowmen lights | snowman light
"""
ACCENTS = """
Crème Brûlée dessert | creme brulee
Jalapeño Salsa hot | jalapeno salsa
Piñata Star party | pinata star
Gruyère Cheese | gruyere
Smörgåsbord platter | smorgasbord
Häagen-Dazs caramel | haagen dazs caramel
Łódź guide book | lodz guide
L'Oréal Shampoo | loreal shampoo
Nescafé Gold | nescafe gold
Café Mug white | cafe mug
Açaí Powder | acai powder
Pâté de Campagne | pate campagne
Straße map of Berlin | strasse map
Håg office chair | hag office chair
Matcha Purée | matcha puree
Ben &amp; Jerry's Dough | ben jerrys dough
Salt &amp; Vinegar Crisps | salt vinegar crisps
"""
LANGUAGES = {
    "german": """
Käse Gouda jung | kaese gouda
Müsli mit Früchten | muesli früchte
Handtasche Leder braun | hand tasche leder
Sommerkleid rot lang | sommer kleid rot
Fußball Größe 5 | fussball grösse 5
Grüner Tee Beutel | gruener tee
Mineralwasser 0,5 l | mineralwasser 500ml
Apfelsaft 1,5 l | apfelsaft 1.5 liter
Bücherregal weiß | buecherregal weiss
Kinderschuhe blau | kinder schuhe blau
Waschmittel 1.000 ml | waschmittel 1 l
Hundefutter Rind | hunde futter rind
""",
    "french": """
Crème fraîche épaisse | creme fraiche
Cœurs d'artichaut | coeurs artichaut
Pâtes fraîches 500 g | pates fraiches 0,5 kg
Huile d'olive 1 L | huile olive 1 litre
Gâteau à la crème | gateau creme
Chaussures d'été femme | chaussure ete femme
Lait entier 1,5 l | lait entier 150 cl
Bœuf haché | boeuf hache
Porte-monnaie cuir | portemonnaie cuir
L'eau minérale | eau minerale
""",
    "spanish": """
Jamón ibérico loncheado | jamon iberico
Niño zapato azul | nino zapatos
Piña en almíbar | pina almibar
Aceite de oliva 0,75 l | aceite oliva 750 ml
Champú anticaspa | champu anticaspa
Cigüeña de peluche | ciguena peluche
Leche entera 1 litro | leche entera 1l
Pantalón de algodón | pantalones algodon
Lavavajillas limón | lava vajillas limon
Cordón de zapato | cordon zapatos
""",
    "italian": """
Caffè macinato forte | caffe macinato
Perché no gelato | perche no gelato
Acqua naturale 1,5 litri | acqua naturale 1.5l
Olio d'oliva extra | olio oliva extra
Scarpe da città uomo | scarpa citta uomo
Pasta di semola 500 g | pasta semola 0,5kg
Tè verde bustine | te verde bustina
Salvietta umidificata | salviette umidificate
Portafoglio pelle | porta foglio pelle
Lampadina 60 W | lampadina 60w
""",
    "turkish": """
ISLAK MENDİL 72 Adet | islak mendil 72'li
İSTANBUL Hatıra Magnet | istanbul magnet
DİŞ FIRÇASI Yumuşak | dis fircasi
KIRMIZI ELBİSE | kırmızı elbise
Çocuk Ayakkabısı | cocuk ayakkabisi
ÜRÜNLERİ düzenleyici | ürünleri
Gömlek Şık Siyah | gomlek sik siyah
Su 0,5 l | su 500ml
Zeytinyağı 1 lt | zeytin yağı 1 litre
Işıklı Süs | isikli sus
""",
    "russian": """
Ёлка искусственная | елка искусственная
Мёд липовый 500 г | мед липовый 0,5 кг
Молоко цельное 1 л | молоко 1 литр
Кроссовки белые | кросовки белые
Кабель USB 2 м | кабель usb 200 см
Кофе молотый | КОФЕ МОЛОТЫЙ
Зубная паста мята | зубная пасты
Чай зелёный | чай зеленый
Детские ботинки | детский ботинок
Гелевая ручка синяя | ручки гелевые синие
""",
    "none": """
เสื้อยืดผู้ชายสีดำ | เสื้อยืด
นมข้าวโอ๊ต 1 ลิตร | ข้าวโอ๊ต
รองเท้าวิ่งผู้หญิง | รองเท้า
หูฟังบลูทูธไร้สาย | บลูทูธ
น้ำดื่ม 600มล. | น้ำ 600 มล
เคสไอโฟน 14 | ไอโฟน 14
红色连衣裙 夏季 | 连衣裙
罐装绿茶 500毫升 | 绿茶 500ml
赤いワンピース | ワンピース
나이키 운동화 | 운동화
ผ้าเช็ดตัวสีขาว | ผ้าเช็ดตัว
กระเป๋าหนัง | กระเป๋า
""",
}
