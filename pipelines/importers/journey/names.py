"""Readable names for The Complete Journey's abbreviated product types, categories and sizes."""

import re
from functools import cache

# Types that the source cuts off or shortens beyond what single words can mend.
PHRASES = {
    "BEERALEMALT LIQUORS": "Beer, Ale & Malt Liquor",
    "BEERALE -NON ALCOHOLIC": "Non-Alcoholic Beer & Ale",
    "YOGURT NOT MULTI-PACKS": "Yogurt",
    "YOGURT MULTI-PACKS": "Yogurt Multi-Pack",
    "SOFT DRINKS 12/18&15PK CAN CAR": "Soft Drink Cans, 12 to 18 Pack",
    "SOFT DRINKS 20PK&24PK CAN CARB": "Soft Drink Cans, 20 to 24 Pack",
    "SOFT DRINKS 6PK/4PK CAN CARB (": "Soft Drink Cans, 4 to 6 Pack",
    "SFT DRNK 2 LITER BTL CARB INCL": "Soft Drink, 2 Liter Bottle",
    "SFT DRNK 3 LITER BTL CARB (EXC": "Soft Drink, 3 Liter Bottle",
    "SFT DRNK 1 LITER BTL CARB (EXC": "Soft Drink, 1 Liter Bottle",
    "SFT DRNK MLT-PK BTL CARB (EXCP": "Soft Drink Bottles, Multi-Pack",
    "SFT DRNK SNGL SRV BTL CARB (EX": "Soft Drink, Single Serve Bottle",
    "SOFT DRINK BOTTLE NON-CARB (EX": "Non-Carbonated Soft Drink, Bottle",
    "SOFT DRINKS CAN NON-CARB (EXCE": "Non-Carbonated Soft Drink, Can",
    "MAINSTREAM WHEAT/MULTIGRAIN BR": "Mainstream Wheat & Multigrain Bread",
    "RTS SOUP: CHUNKY/HOMESTYLE ET": "Ready to Serve Soup, Chunky & Homestyle",
    "SGL SV/VEND MACH SNACKS CHIP/P": "Single Serve Snacks",
    "FRZN SS PREMIUM ENTREES/DNRS/N": "Frozen Single Serve Premium Entrees & Dinners",
    "FRZN SS PREMIUM ENTREES/DNRS/T": "Frozen Single Serve Premium Entrees & Dinners",
    "SS ECONOMY ENTREES/DINNERS ALL": "Single Serve Economy Entrees & Dinners",
    "FRZN MULTI SERVE ENTREES ALL": "Frozen Multi Serve Entrees",
    "FRZN BREADED PREPARED CHICK": "Frozen Breaded Prepared Chicken",
    "FRZN BREAKFAST ENTREES/SANDWIC": "Frozen Breakfast Entrees & Sandwiches",
    "FRZN BOXED VEGETABLES- VALUE A": "Frozen Boxed Vegetables, Value Added",
    "FRZN BAGGED VEGETABLES- VALUE": "Frozen Bagged Vegetables, Value Added",
    "FRZN CONC ALLIEDS OVER 50% JUI": "Frozen Concentrated Juice",
    "FRZN CONC UNDER 50% JUICE": "Frozen Concentrated Juice Drink",
    "FRZN OJ&OJ SUBSTITUTES (OVER 5": "Frozen Orange Juice & Substitutes",
    "MEXICAN SAUCESSALSAPICANTEE": "Mexican Sauces, Salsa & Picante",
    "MEXICAN SOFT TORTILLAS AND WRA": "Mexican Soft Tortillas & Wraps",
    "AUTHENTIC SAUCES SALSA PICAN": "Authentic Sauces, Salsa & Picante",
    "CANDY BAGS-CHOCOCLATE": "Chocolate Candy, Bag",
    "CANDY BAGS-CHOCOCLATE W/FLOUR": "Chocolate Candy with Flour, Bag",
    "CANDY BAGS-NON CHOCOLATE": "Non-Chocolate Candy, Bag",
    "CANDY BAGS-NON CHOCOLATE W/FLO": "Non-Chocolate Candy with Flour, Bag",
    "SEASONAL CANDY BAGS-CHOCOLATE": "Seasonal Chocolate Candy, Bag",
    "SEASONAL CANDY BAGS NON-CHOCOL": "Seasonal Non-Chocolate Candy, Bag",
    "SEASONAL CANDY BOX-CHOCOLATE": "Seasonal Chocolate Candy, Box",
    "SEASONAL CANDY BOX-CHOCOLATE W": "Seasonal Chocolate Candy with Flour, Box",
    "SEASONAL CANDY BOX NON-CHOCOLA": "Seasonal Non-Chocolate Candy, Box",
    "CANDY BARS (SINGLES)(INCLUDING": "Candy Bar",
    "CANDY BARS (MULTI PACK)": "Candy Bars, Multi-Pack",
    "MINTS CANDY & BREATH (NOT LIF": "Candy & Breath Mints",
    "CANDY & BREATH MINTS (PKGD) (N": "Candy & Breath Mints, Packaged",
    "ASEPTIC PACK JUICE AND DRINKS": "Juice & Drinks, Aseptic Pack",
    "BLENDED JUICE&COMBINATIONS (50": "Blended Juice & Combinations",
    "BLENDED JUICE&COMBINATIONS (OV": "Blended Juice & Combinations",
    "CRANAPPLE CRAN GRAPE JUICE (5": "Cran-Apple & Cran-Grape Juice",
    "CRANAPPLE CRAN GRAPE JUICE (O": "Cran-Apple & Cran-Grape Juice",
    "DAIRY CASE 100% PURE JUICE - O": "Refrigerated 100% Pure Orange Juice",
    "DAIRY CASE 100% PURE JUICE OTH": "Refrigerated 100% Pure Juice",
    "DAIRY CASE JUICE DRNK UNDER 10": "Refrigerated Juice Drink",
    "DAIRY CASE CITRUS PNCH/OJ SUBS": "Refrigerated Citrus Punch",
    "DAIRY CASE FRUIT DRINKS (NO JU": "Refrigerated Fruit Drink",
    "DAIRY CASE TEA WITH SUGAR OR S": "Refrigerated Sweetened Tea",
    "NON-CRBNTD DRNKING/MNERAL WATE": "Non-Carbonated Drinking & Mineral Water",
    "NON-CARB FLVRD DRNKNG/MNRL WAT": "Non-Carbonated Flavored Water",
    "CARBONATED WATER - FLVRD SWEET": "Carbonated Water, Flavored & Sweetened",
    "CARBONATED WATER - FLVRD UNSWE": "Carbonated Water, Flavored & Unsweetened",
    "INSTANT COFFEE FLAVORED NO SWE": "Instant Flavored Coffee, Unsweetened",
    "INSTANT COFFEE FLAVORED W/SWEE": "Instant Flavored Coffee, Sweetened",
    "PREMIUM COOKIES (EX: PEPPERIDG": "Premium Cookies",
    "TRAY PACK/CHOC CHIP COOKIES": "Chocolate Chip Cookies, Tray Pack",
    "VENDOR SIZE/SINGLE SERVE COOKI": "Single Serve Cookies",
    "VENDING SIZE/SNGL SERVE CRACKE": "Single Serve Crackers",
    "CHEESE CRACKERS (CHEEZ-ITS/GOL": "Cheese Crackers",
    "BUTTER SPRAY CRACKER (RITZ/CLU": "Butter Crackers",
    "IWS SINGLE CHEESE": "Individually Wrapped Cheese Singles",
    "NON-IWS SINGLE CHEESE": "Cheese Singles",
    "NATURAL CHEESE EXACT WT CHUNKS": "Natural Cheese, Chunk",
    "NATURAL CHEESE EXACT WT SLICES": "Natural Cheese, Slices",
    "TOMATOES: STEWED/DICED/CRMD": "Tomatoes, Stewed, Diced & Crushed",
    "PREPARED BEANS - BAKED W/PORK": "Baked Beans with Pork",
    "VARIETY BEANS - KIDNEY PINTO": "Kidney, Pinto & Other Beans",
    "DRY BEANS/PEAS/BARLEY: BAG & B": "Dry Beans, Peas & Barley",
    "SEMI-SOLID SALAD DRESSING MAY": "Mayonnaise & Salad Dressing",
    "HOT MUSTARD/SPECIALTY MUSTAR": "Hot & Specialty Mustard",
    "VINEGAR ALL-EXCEPT WINE/RIC": "Vinegar",
    "COUGH SYRP/LOZNG-DRP/XPCTRNT": "Cough Syrup, Lozenges & Expectorants",
    "FEM. HYGN.NAPKINS": "Feminine Napkins",
    "FEM. HYGN. TAMPONS": "Tampons",
    "FACIAL TISSUE & PAPER HANDKE": "Facial Tissue & Paper Handkerchiefs",
    "GARBAGE KITCHEN COMPACTOR BA": "Garbage & Kitchen Bags",
    "DISPOSABLE FD STORAGE CONTAINR": "Disposable Food Storage Containers",
    "PLSTC CTLRYTBLCLTHSTTHPKSST": "Plastic Cutlery, Tablecloths & Toothpicks",
    "PLASTIC/HEAVY PAPER PREM PLATE": "Premium Plastic & Paper Plates",
    "ANTIPERSPIRANTS ONLY (ALL OTHE": "Antiperspirant",
    "SOLID/STK DEODORANTS": "Deodorant Stick",
    "VITAMIN - NON HERBAL SUPPLEMEN": "Vitamins, Non-Herbal Supplements",
    "VITAMIN - MULTIPLE COMBIN": "Multivitamins",
    "LIQUEURS/SPECIALTIES (42 UNDER": "Liqueurs & Specialties",
    "COCKTAIL MIXES-FLUID:ADD LIQ": "Cocktail Mix",
    "CAN DOGFD GOURMET/SUPER PREM (": "Gourmet Canned Dog Food",
    "CAN DOG FOOD (SKIPPY/PEDIGREE/": "Canned Dog Food",
    "CAN CATFD GOURMET/SUP PREM (GR": "Gourmet Canned Cat Food",
    "CANNED CAT FOOD (9 LIVES/FRISK": "Canned Cat Food",
    "DRY CAT FOOD (CAT CHOW/FRISKIE": "Dry Cat Food",
    "DRY CAT FOOD SUP PREM (ONE/NUT": "Super Premium Dry Cat Food",
    "DRY DOG FOOD PREMIUM (ALPO/PUR": "Premium Dry Dog Food",
    "DRY DOG FOOD SUPER PREM (ONE/N": "Super Premium Dry Dog Food",
    "DRY DOG VALUE (PET PRIDE/KLR/G": "Value Dry Dog Food",
    "DRY DOG ECONOMY (COST CUTTER/F": "Economy Dry Dog Food",
    "DOG BISCUITS (HARD BISCUIT)": "Dog Biscuits",
    "DOG TREATS (SOFT TREATS)": "Soft Dog Treats",
    "FLUID MILK WHITE ONLY": "Milk",
    "EGG NOG/BOILED CUSTARD": "Egg Nog & Boiled Custard",
    "PIE FILLING MINCEMEAT GLAZES": "Pie Filling, Mincemeat & Glazes",
    "MISC.CND SEAFOODS (CRABETC)": "Canned Crab & Other Seafood",
    "KITCHEN & MULTI-PURPOSE CLEANE": "Kitchen & Multi-Purpose Cleaner",
    "BATH BUBBLES-BATH SOAPS-ADDITI": "Bubble Bath & Bath Soaps",
    "BABY ANTIBIOTIC OINTMENTS & CR": "Baby Antibiotic Ointments & Creams",
    "FROZEN CAKES/ALL TYPES INCLUDI": "Frozen Cakes",
    "REFRIGERATED COOKIES-BREAK N B": "Refrigerated Cookie Dough",
    "REFRIGERATED COOKIES-CHUB": "Refrigerated Cookie Dough, Chub",
    "SPECIALTY CHIPS (SOY CRISPS/PI": "Specialty Chips",
    "SPECIALTY SNACKS (SOYNUTS/TRAI": "Specialty Snacks",
    "MALTED MLK/SYRUP/PWDRS (EGGNOG": "Malted Milk, Syrups & Powders",
    "LEGGS": "L'eggs Hosiery",
    "DVD S": "DVD",
    "SEAFOOD-FRE-NON RW-ALL": "Fresh Seafood",
    "SEAFOOD-FRE-RAW FINFISH-OTHER": "Fresh Raw Fish",
    "SEAFOOD-FRE-LIVE SHLFSH-OTHER": "Live Shellfish",
    "SEAFOOD-FRE-SALMON": "Fresh Salmon",
    "SEAFOOD-FRE-CATFISH": "Fresh Catfish",
    "SEAFOOD-FRE-SHRIMP": "Fresh Shrimp",
    "SEAFOOD-FRE-MISC": "Other Fresh Seafood",
    "SEAFOOD-FRZ-RW-ALL": "Frozen Seafood",
    "SEAFOOD-FRZ-MISC": "Other Frozen Seafood",
    "SEAFOOD-FRZ-IQF RAW SHRIMP RW": "Frozen Raw Shrimp",
    "SEAFOOD-FRZ-IQF RAW SHRIMP EXA": "Frozen Raw Shrimp",
    "SEAFOOD-FRZ-IQF COOKED SHRIMP": "Frozen Cooked Shrimp",
    "SEAFOOD-FRZ-BRD SHRIMP": "Frozen Breaded Shrimp",
    "SEAFOOD-FRZ-RAW FILLETS": "Frozen Raw Fish Fillets",
    "FRZN BRD STICK/PORTON": "Frozen Breaded Fish Sticks & Portions",
    "SEAFOOD-MISC-SAUCES/MARIN-WET": "Seafood Sauces & Marinades",
    "SEAFOOD-MISC-BREADERS/BTR MIX": "Seafood Breading & Batter Mix",
    "BEANS GREEN: FS/WHL/CUT": "Green Beans",
    "PEAS GREEN": "Green Peas",
    "CAKES: LAYERS": "Layer Cakes",
    "CAKES: SHEET": "Sheet Cakes",
    "SW GDS:DONUTS": "Donuts",
    "SW GDS: MUFFINS": "Muffins",
    "SW GDS:COFFEE CAKES": "Coffee Cakes",
    "SW GDS: SW ROLLS/DAN": "Sweet Rolls & Danish",
    "SANDWICHES - (COLD)": "Cold Sandwiches",
    "SANDWICHES - (HOT)": "Hot Sandwiches",
    "ROLLS - PORK": "Pork Rolls",
    "N/A DEOD SPRAY/GEL DEOD": "Deodorant Spray & Gel",
    "ELSTC BNDGES SUPRT HOSE": "Elastic Bandages & Support Hose",
    "SHOE CARE: LACES/POLISH/CLOT": "Shoe Laces, Polish & Cloths",
    "CHILDRENS LOW END": "Children's Books, Low Price",
    "HARDBACK/TRADE EVERYDAY": "Hardback & Trade Books",
    "HARDBACK/TRADE BEST SELLER": "Best-Selling Hardback & Trade Books",
    "PAPERBACK BEST SELLER": "Best-Selling Paperback Books",
    "COOKIES: HOLIDAY/SPECIAL OCCAS": "Holiday & Special Occasion Cookies",
    "SAL:SALSA/DPS-PRPCK": "Salsa & Dips, Prepacked",
    "VAC PAC NUTS(CANS)": "Canned Nuts",
    "BABY FOOD JUNIOR ALL BRANDS": "Junior Baby Food",
    "OUTSIDE VENDORS GIFT CARDS": "Gift Cards",
    "PARTY EVERYDAY": "Everyday Party Supplies",
    "PARTY SEASONAL": "Seasonal Party Supplies",
    "CAKES: CHEESECAKE": "Cheesecake",
    "CAKES: ANGEL FDS/CKE ROLLS": "Angel Food Cakes & Cake Rolls",
    "PASTA: CANNED": "Canned Pasta",
    "CHEESE:CHEESEBALLS/SPREADS": "Cheese Balls & Spreads",
    "GASOLINE-REG UNLEADED": "Regular Unleaded Gasoline",
}

WORDS = {
    "ACC": "Accessories", "ACCESS": "Accessories", "ACCSS": "Accessories", "BBQ": "BBQ",
    "BEV": "Beverage", "BKD": "Baked", "BKNGWARES": "Bakewares", "BN": "Bean", "BRD": "Breaded",
    "BRKFST": "Breakfast", "BTL": "Bottle", "BTR": "Butter", "CARB": "Carbonated",
    "CATSUP": "Ketchup", "CD-R": "CD-R", "CHIX": "Chicken", "CHOC": "Chocolate", "CHP": "Chops",
    "CKYS": "Cookies", "CLEANG": "Cleaning", "CND": "Canned", "CNDLES": "Candles",
    "CNDY": "Candy", "CNTRL": "Control", "COFF": "Coffee", "CONC": "Concentrate",
    "COOKNG": "Cooking", "CRKR": "Crackers", "DAN": "Danish", "DECAF": "Decaf", "DNR": "Dinner",
    "DNRS": "Dinners", "DPS": "Dips", "DRNK": "Drink", "DRNKS": "Drinks", "DRSNG": "Dressing",
    "DSH": "Dish", "DVD": "DVD", "DXM": "DXM", "EX": "Except", "FD": "Food", "FEM": "Feminine",
    "FLVR": "Flavored", "FLVRD": "Flavored", "FRD": "Fried", "FRE": "Fresh", "FRZ": "Frozen",
    "FRZN": "Frozen", "GDS": "Goods", "GM": "General Merchandise", "GRND": "Ground",
    "HBC": "Health & Beauty", "HYGN": "Hygiene", "IQF": "Individually Frozen", "JCE": "Juice",
    "JHOOK": "", "LIQ": "Liquid", "LIQS": "Liquids", "LSS": "Less", "MARIN": "Marinade",
    "MARINAD": "Marinades", "MEAT-PCKGD": "Packaged Meat", "MFG": "Manufacturer",
    "MISC": "Other", "MISCELLANEOUS": "Other", "MIXS": "Mixes", "MLK": "Milk", "MUST": "Mustard",
    "MXS": "Mixes", "NFL": "NFL", "MLB": "MLB", "NUT SUPP": "Supplement", "NZ": "NZ",
    "ORGANICS": "Organic", "PC": "Piece", "PCKGD": "Packaged", "PICKLD": "Pickled",
    "PICKLS": "Pickles", "PKG": "Package", "PKGD": "Packaged", "PKLD": "Pickled",
    "PLSTC": "Plastic", "PNT": "Peanut", "PPK": "Prepack", "PREM": "Premium",
    "PREPORTND": "Portioned",
    "PRPCK": "Prepack", "PRSLC": "Presliced", "PRESLC": "Presliced", "PSE": "PSE",
    "PWDR": "Powder", "PWDRS": "Powders", "REFIGERATED": "Refrigerated",
    "REFRGRATD": "Refrigerated", "REFRIG": "Refrigerated", "RTD": "Ready to Drink",
    "RTS": "Ready to Serve", "RX": "Rx",
    "RW": "", "SAL": "Salads", "SALD": "Salad", "SAUS": "Sausage", "SFT": "Soft",
    "SHERBTS": "Sherbets", "SHLDR": "Shoulder", "SHLFSH": "Shellfish", "SLC": "Slices",
    "SNDWCH": "Sandwich", "SNGL": "Single", "SNKS": "Snacks", "SPEC": "Specialty",
    "SPF": "SPF", "SPLY": "Supplies", "SPRD": "Spread", "SPECILATY": "Specialty", "STK": "Steaks",
    "SUPP": "Supplement", "SUPPPLIES": "Supplies", "SV": "Service", "SW": "Sweet",
    "SWEETNERS": "Sweeteners", "SWT": "Sweet", "SYRP": "Syrup", "THN": "Than", "TISS": "Tissue",
    "TRSH": "Trash", "BG": "Bags", "TV": "TV", "VAC": "Vacuum", "VEG": "Vegetable", "VHS": "VHS",
    "WHLSM": "Wholesome", "WT": "Weight", "WTR": "Water", "W": "with", "XMAS": "Christmas",
    "AND": "&", "OR": "or", "WITH": "with", "IN": "in", "NO": "no", "OF": "of", "FOR": "for",
    "DISPOSIBLE": "Disposable", "MEMORABLILIA": "Memorabilia", "ACCESSIORES": "Accessories",
    "DOGFD": "Dog Food", "CATFD": "Cat Food", "CHOCOCLATE": "Chocolate", "PROTIEN": "Protein",
    "OTYHER": "Other", "JUIC": "Juice", "JUI": "Juice", "S": "", "PROD": "Products", "ML": "ml",
    "TORT": "Tortilla", "PAC": "Pack", "DEOD": "Deodorant", "MENS": "Men's", "LT": "L",
    "WOMENS": "Women's", "CHILDRENS": "Children's", "PORTON": "Portions",
}  # fmt: skip

# Words that say which one, but not of what: such a type is named together with its category.
VAGUE = (
    "ACTIVITY|ADDED|ADULT|ALL|BARGAIN|BASIC|BETTER|BLENDS|BOXED|BULK|COLLEGIATE|CONSTRUCTION"
    "|CONTINUITY|COOKED|COORDINATES|CUPS|DAYS|DECOR|DIGITAL|DOLLAR|DRY|ECONOMY|ENHANCED"
    "|ENROBED|EVERYDAY|EXTERNAL|FAMILY|FLAVORED|FOR|FRAMES|FRESH|GARDEN|GENERAL|IN|INCLUDED"
    "|INTERNAL|ITEMS|KIDS|KITS|KOSHER|LARGE|LEAN|LINKS|LOAVE|MAINSTREAM|MARINATED|MASKS|MEAT"
    "|MEDIUM|MICROWAVE|MINI|MISC|MISCELLANEOUS|MIXED|MIXES|NATURAL|NON|NOVELTIES|OTHER"
    "|OUTDOOR|OVEN|PACK|PACKS|PAILS|PANTRY|PARTY|PINTS|PLUS|PREMIUM|PROMO|PROMOTIONAL|PUSH"
    "|QUARTS|RAW|RED|REGULAR|SEASONAL|SEASONED|SELECT|SPECIAL|SPECIALTY|STANDARD|STICKS|SUPER"
    "|TRADITIONAL|TREATS|UPS|UTILITY|VALUE|VARIETY|WHOLE|YOU"
)
MAKEUP = "MAKEUP AND TREATMENT"
MAKERS_OF_MAKEUP = frozenset(
    ("MAYBELLINE", "COVERGIRL", "REVLON", "SALLY HANSEN", "ALMAY", "BONNE BELL", "WET N WILD",
     "MAX FACTOR")
)  # fmt: skip
# Categories without which their types mean little: they come first in every title.
FIRST = {
    "BEEF": "Beef",
    "PORK": "Pork",
    "CHICKEN": "Chicken",
    "TURKEY": "Turkey",
    "LAMB": "Lamb",
    "VEAL": "Veal",
    "BACON": "Bacon",
    "HOT DOGS": "Hot Dogs",
    "LUNCHMEAT": "Lunchmeat",
    "SMOKED MEATS": "Smoked Meat",
    "DINNER SAUSAGE": "Dinner Sausage",
    "BREAKFAST SAUSAGE/SANDWICHES": "Breakfast Sausage",
    "CHRISTMAS  SEASONAL": "Christmas",
    "HALLOWEEN": "Halloween",
    "VALENTINE": "Valentine",
    "EASTER": "Easter",
}
SHORT_CATEGORY = {
    "CANDY - PACKAGED": "Packaged Candy",
    "ICE CREAM/MILK/SHERBTS": "Ice Cream",
    "FRZN NOVELTIES/WTR ICE": "Frozen Treats",
    MAKEUP: "Makeup",
    "GREETING CARDS/WRAP/PARTY SPLY": "Greeting Cards & Party Supplies",
}

# `CAKES: SUGAR FREE` reads better as `Sugar Free Cakes`; so do these others.
HEADS = "PIES|COOKIES|BREAD|ROLLS|CHEESE|POPCORN|PIZZA|EGGS|CEREAL|CHILI|MARGARINE|CAKES"
LAST_WORDS = "DRY|SWEETENED|UNSWEETENED|EVERYDAY|SEASONAL"

_HEAD = re.compile(rf"({HEADS})(?: ?: ?| - |/)([^:/]+(?:/[^:/]+)?)")
_LAST = re.compile(rf"([A-Z -]+) ({LAST_WORDS})")
_SIZE = re.compile(r"(?:(\d+) ?(?:PK|CT)[ /]|(\d+)/)?(\d*\.?\d+) ?(OZ|LB|CT|ML|L|PK|IN|GAL?|QT|PT)")
_UNITS = {"L": "L", "GA": "gal"}
_OUNCES = {"oz": 1.0, "lb": 16.0, "ml": 0.034, "L": 33.8, "gal": 128.0, "qt": 32.0, "pt": 16.0}
_CUT_OFF = re.compile(r"\s*\([^)]*$")  # a bracket that the source's 30 characters cut
_NOTE = re.compile(r"\((?:[^)]*\d+\s?%|[^)]*PROOF|[^)]*EXCEPT|BULK&BAG)[^)]*\)?")
_VAGUE = re.compile(rf"(?:[^A-Z]*\b(?:{VAGUE})\b[^A-Z]*)+")
_PARTS = re.compile(r"[A-Z']+|[^A-Z']+")


@cache
def readable(source: str) -> str:
    """Return a name of the source in title case, with its abbreviations written out."""
    if source in PHRASES:
        return PHRASES[source]
    text = _CUT_OFF.sub("", _NOTE.sub("", source.strip())).strip()
    text = _in_spoken_order(text.replace("-MAGAZINE", " MAGAZINE").replace("MEN S ", "MEN'S "))
    text = re.sub(r"\bW/(?=[A-Z])", "with ", text.replace("CHILDREN S ", "CHILDREN'S "))
    text = re.sub(r"\s+-\s*|-\s+", " - ", re.sub(r"\s*[/&]\s*", " & ", text))
    words = "".join(_word(part) for part in _PARTS.findall(re.sub(r"\s*:\s*", ": ", text)))
    words = words.replace("Other.", "Other").replace(" & & ", " & ")
    words = re.sub(r"\s+", " ", words).strip(" -:&,.")
    first, *rest = words.split(" & ")
    return words if len(rest) < 2 else f"{', '.join([first, *rest[:-1]])} & {rest[-1]}"


@cache
def title(category: str, kind: str) -> str:
    """Return what a product of this category and type is called, its size left out."""
    if not kind:
        return readable(category)
    name = readable(kind)
    if category in FIRST:
        return name if _shares_a_word(name, FIRST[category]) else f"{FIRST[category]} {name}"
    of = SHORT_CATEGORY.get(category, readable(category))
    vague = _is_vague(kind) or (category == MAKEUP and kind in MAKERS_OF_MAKEUP)
    return f"{name} {of}" if vague and not _shares_a_word(name, of) else name


@cache
def size(source: str) -> str:
    """Return a package size such as `16 oz` or `6 x 12 oz`; "" where it is not plainly one."""
    many, amount, unit = _measure(source)
    if not unit:
        return ""
    return f"{many} x {amount:g} {unit}" if many > 1 else f"{amount:g} {unit}"


@cache
def ounces(source: str) -> float | None:
    """Return how much one pack holds, in all its parts; None where the size does not say."""
    many, amount, unit = _measure(source)
    return many * amount * _OUNCES[unit] if unit in _OUNCES else None


def _measure(source: str) -> tuple[int, float, str]:
    found = _SIZE.fullmatch(source.strip())
    if not found:
        return 1, 0.0, ""
    packs, times, amount, unit = found.groups()
    if not 0 < float(amount) < 5_000:
        return 1, 0.0, ""
    return int(packs or times or 1), float(amount), _UNITS.get(unit, unit.lower())


def _in_spoken_order(text: str) -> str:
    if found := _HEAD.fullmatch(text):
        return f"{found[2].strip()} {found[1]}"
    if found := _LAST.fullmatch(text):
        return f"{found[2]} {found[1]}"
    return text


def _word(part: str) -> str:
    if part in WORDS:
        return WORDS[part]
    return part[0] + part[1:].lower() if part[0].isalpha() else part


def _is_vague(kind: str) -> bool:
    return _VAGUE.fullmatch(kind) is not None


def _shares_a_word(name: str, of: str) -> bool:
    stems = [
        {word.rstrip("s") for word in re.findall(r"[a-z]+", text.lower())} for text in (name, of)
    ]
    return bool(stems[0] & stems[1])
