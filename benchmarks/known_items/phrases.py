"""Titles of one product each, and a search by which a shopper looks for it; `title | search`."""

# ruff: noqa: RUF001 - letters of many alphabets

COMPOUNDS = """
Vanilla Ice Cream tub | icecream
Dog Food with beef | dogfood
Toothpaste mint fresh | tooth paste
Tooth Brush soft | toothbrush
Wi-Fi Router dual band | wifi
Head Phones over ear | headphones
Earbuds wireless white | ear buds
Sun Screen lotion | sunscreen
Dish Washer Tablets lemon | dishwasher
Red Bull Energy Drink | redbull
Coca-Cola Zero can | cocacola
Kit Kat Chunky bar | kitkat
iPhone 14 Case clear | iphone14
Galaxy S21 screen protector | s 21
Cross-body Bag brown | crossbody
Book Shelf tall oak | bookshelf
Raincoat yellow kids | rain coat yellow
Bed Sheet cotton king | bedsheet
Lawnmower electric | lawn mower
Hair Dryer compact | hairdryer
Skateboard deck maple | skate board
T-Shirt men white | tshirt
Pop Corn salted | popcorn
Flashlight LED | flash light
Air Fryer basket | airfryer
Stroller buggyboard | buggy board
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
Jalapeño Salsa hot | jalapeno
Piñata Star party | pinata
Gruyère Cheese | gruyere
Smörgåsbord platter | smorgasbord
Häagen-Dazs caramel | haagen dazs
Łódź guide book | lodz
L'Oréal Shampoo | loreal
Nescafé Gold | nescafe
Café Mug white | cafe
Açaí Powder | acai
Pâté de Campagne | pate
Straße map of Berlin | strasse
Håg office chair | hag
Matcha Purée | puree
Ben &amp; Jerry's Dough | jerrys
Salt &amp; Vinegar Crisps | salt vinegar crisps
"""
LANGUAGES = {
    "german": """
Käse Gouda jung | kaese
Müsli mit Früchten | muesli früchte
Handtasche Leder braun | hand tasche
Sommerkleid rot lang | sommer kleid
Fußball Größe 5 | fussball grösse
Grüner Tee Beutel | gruener
Mineralwasser 0,5 l | 500ml
Apfelsaft 1,5 l | 1.5 liter
Bücherregal weiß | buecherregal weiss
Kinderschuhe blau | kinder schuhe
Waschmittel 1.000 ml | 1 l
Hundefutter Rind | hunde futter
""",
    "french": """
Crème fraîche épaisse | creme fraiche
Cœurs d'artichaut | coeurs artichaut
Pâtes fraîches 500 g | pates fraiches 0,5 kg
Huile d'olive 1 L | olive litre
Gâteau à la crème | gateau creme
Chaussures d'été femme | chaussure ete
Lait entier 1,5 l | 150 cl
Bœuf haché | boeuf hache
Porte-monnaie cuir | portemonnaie
L'eau minérale | eau minerale
""",
    "spanish": """
Jamón ibérico loncheado | jamon iberico
Niño zapato azul | nino zapatos
Piña en almíbar | pina almibar
Aceite de oliva 0,75 l | 750 ml
Champú anticaspa | champu
Cigüeña de peluche | ciguena
Leche entera 1 litro | 1l
Pantalón de algodón | pantalones algodon
Lavavajillas limón | lava vajillas limon
Cordón de zapato | cordon zapatos
""",
    "italian": """
Caffè macinato forte | caffe
Perché no gelato | perche
Acqua naturale 1,5 litri | 1.5l
Olio d'oliva extra | oliva
Scarpe da città uomo | scarpa citta
Pasta di semola 500 g | 0,5kg
Tè verde bustine | te bustina
Salvietta umidificata | salviette umidificate
Portafoglio pelle | porta foglio
Lampadina 60 W | 60w
""",
    "turkish": """
ISLAK MENDİL 72 Adet | mendil 72'li
İSTANBUL Hatıra Magnet | istanbul
DİŞ FIRÇASI Yumuşak | dis fircasi
KIRMIZI ELBİSE | kırmızı elbise
Çocuk Ayakkabısı | cocuk ayakkabisi
ÜRÜNLERİ düzenleyici | ürünleri
Gömlek Şık Siyah | gomlek sik
Su 0,5 l | 500ml
Zeytinyağı 1 lt | zeytin yağı litre
Işıklı Süs | isikli sus
""",
    "russian": """
Ёлка искусственная | елка
Мёд липовый 500 г | мед 0,5 кг
Молоко цельное 1 л | 1 литр
Кроссовки белые | кросовки
Кабель USB 2 м | 200 см
Кофе молотый | КОФЕ МОЛОТЫЙ
Зубная паста мята | пасты
Чай зелёный | зеленый
Детские ботинки | детский ботинок
Гелевая ручка синяя | ручки гелевые синие
""",
    "none": """
เสื้อยืดผู้ชายสีดำ | เสื้อยืด
นมข้าวโอ๊ต 1 ลิตร | ข้าวโอ๊ต
รองเท้าวิ่งผู้หญิง | รองเท้า
หูฟังบลูทูธไร้สาย | บลูทูธ
น้ำดื่ม 600มล. | น้ำ 600 มล
เคสไอโฟน 14 | ไอโฟน
红色连衣裙 夏季 | 连衣裙
罐装绿茶 500毫升 | 绿茶 500ml
赤いワンピース | ワンピース
나이키 운동화 | 운동화
ผ้าเช็ดตัวสีขาว | ผ้าเช็ดตัว
กระเป๋าหนัง | กระเป๋า
""",
}
