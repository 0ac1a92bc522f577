//! Food and drink.

use super::{Department, Dimension, Family, pick, run};

const WEIGHT: Dimension = run("size", "4 ounce, 6 ounce, 8 ounce, 12 ounce, 1 pound, 2 pound, 5 pound", 2, 5);
const PACK: Dimension = run("size", "1 pack, 2 pack, 4 pack, 6 pack, 12 pack, 24 pack", 2, 5);
const SWEET: Dimension = pick(
    "flavor",
    "vanilla, dark chocolate, peanut butter, salted caramel, strawberry, cherry pie, banana, coconut, cinnamon, maple",
    3,
    7,
);
const SAVORY: Dimension = pick(
    "flavor",
    "sea salt, barbecue, sour cream, jalapeno, ranch, white cheddar, truffle, garlic, chili lime",
    3,
    7,
);
const FRUIT: Dimension =
    pick("flavor", "lemon, raspberry, mango, peach, cherry, watermelon, guava, pineapple, apple, lime", 3, 7);

pub(super) static GROCERY: Department = Department {
    name: "grocery",
    brands: "Amber Acre, Bristlecone Foods, Cedar Pantry, Daybreak Mills, Ember & Oat, Field Theory, Goldenroot, \
             Hearthside, Ironwood Farms, Juniper Table, Kettle Ridge, Larkspur, Meadowlark, Nine Elms, Oak & Olive, \
             Prairie Spoon",
    families: &[
        Family {
            query: "protein bars",
            path: "Grocery & Gourmet Food › Snack Foods › Bars › Protein",
            attributes: "gluten free, high protein, low sugar, keto friendly, soy free, dairy free, plant based, \
                         non gmo, kosher, +prebiotic fiber, +sea salt flakes",
            materials: "rolled oats, nut butter, whey crisps",
            options: &[SWEET, PACK],
            price: (9, 48),
        },
        Family {
            query: "ground coffees",
            path: "Grocery & Gourmet Food › Beverages › Coffee › Ground Coffee",
            attributes: "organic, fair trade, low acid, decaffeinated, dark roasted, single origin, shade grown, kosher, \
                         +smoky aroma, +resealable bag, +chocolate notes",
            materials: "arabica beans, a robusta blend, washed arabica",
            options: &[
                pick("flavor", "classic, hazelnut, french vanilla, mocha, caramel, pumpkin spice", 2, 5),
                WEIGHT,
            ],
            price: (8, 55),
        },
        Family {
            query: "herbal teas",
            path: "Grocery & Gourmet Food › Beverages › Tea › Herbal",
            attributes: "caffeine free, organic, sugar free, hand picked, fair trade, non gmo, kosher, vegan, \
                         +compostable bags, +whole leaves, +dried fruit",
            materials: "chamomile flowers, rooibos, hibiscus",
            options: &[FRUIT, run("size", "16 count, 20 count, 40 count, 60 count, 100 count", 2, 4)],
            price: (5, 36),
        },
        Family {
            query: "potato chips",
            path: "Grocery & Gourmet Food › Snack Foods › Chips & Crisps › Potato",
            attributes: "gluten free, kettle cooked, low sodium, non gmo, fat free, vegan, kosher, air popped, \
                         artificial color free, +avocado oil, +ridged cut",
            materials: "russet potatoes, purple potatoes, yukon potatoes",
            options: &[SAVORY, PACK],
            price: (6, 42),
        },
        Family {
            query: "granola cereals",
            path: "Grocery & Gourmet Food › Breakfast Foods › Cereals › Granola",
            attributes: "gluten free, low sugar, organic, whole grain, nut free, high fiber, non gmo, vegan, oven baked, \
                         +chia seeds, +dried fruit",
            materials: "rolled oats, puffed rice, ancient grains",
            options: &[SWEET, WEIGHT],
            price: (6, 40),
        },
        Family {
            query: "trail mixes",
            path: "Grocery & Gourmet Food › Snack Foods › Nuts & Seeds › Trail Mix",
            attributes: "gluten free, unsalted, organic, low carb, non gmo, kosher, vegan, high protein, \
                         +resealable bag, +dried fruit, +chocolate pieces",
            materials: "almonds, cashews, pumpkin seeds",
            options: &[pick("flavor", "mountain, tropical, harvest, energy, spicy, berry", 2, 5), WEIGHT],
            price: (8, 46),
        },
        Family {
            query: "hot sauces",
            path: "Grocery & Gourmet Food › Condiments & Salad Dressings › Sauces › Hot Sauce",
            attributes: "gluten free, low sodium, sugar free, small batch, extra hot, vegan, non gmo, keto friendly, \
                         +roasted garlic, +glass bottle, +ghost pepper",
            materials: "red cayenne, habanero mash, chipotle puree",
            options: &[FRUIT, PACK],
            price: (5, 38),
        },
        Family {
            query: "olive oils",
            path: "Grocery & Gourmet Food › Cooking & Baking › Oils › Olive",
            attributes: "extra virgin, cold pressed, organic, single origin, unfiltered, kosher, non gmo, first harvest, \
                         +glass bottle, +pour spout, +peppery finish",
            materials: "picual olives, koroneiki olives, arbequina olives",
            options: &[run("size", "8 fl oz, 16 fl oz, 25 fl oz, 34 fl oz, 68 fl oz", 2, 4)],
            price: (10, 62),
        },
        Family {
            query: "beef jerky",
            path: "Grocery & Gourmet Food › Snack Foods › Jerky & Dried Meats › Beef",
            attributes: "gluten free, grass fed, high protein, low carb, nitrate free, hickory smoked, soy free, \
                         sugar free, +resealable bag, +cracked pepper",
            materials: "top round, brisket, sirloin tips",
            options: &[
                pick("flavor", "original, teriyaki, smokehouse, sweet heat, honey bourbon, jalapeno", 2, 5),
                WEIGHT,
            ],
            price: (9, 58),
        },
        Family {
            query: "sparkling waters",
            path: "Grocery & Gourmet Food › Beverages › Bottled Beverages, Water & Drink Mixes › Sparkling",
            attributes: "zero calorie, sugar free, sodium free, caffeinated, non gmo, kosher, naturally flavored, bpa free, \
                         +electrolytes, +added vitamins, +real juice",
            materials: "spring water, filtered water, mineral water",
            options: &[FRUIT, run("size", "6 pack, 8 pack, 12 pack, 24 pack", 2, 4)],
            price: (6, 34),
        },
        Family {
            query: "chocolate truffles",
            path: "Grocery & Gourmet Food › Snack Foods › Candy & Chocolate › Truffles",
            attributes: "gluten free, hand made, dairy free, fair trade, gift boxed, kosher, low sugar, non gmo, \
                         +hazelnut filling, +cocoa dusting, +liquid center",
            materials: "dark couverture, milk couverture, single estate cacao",
            options: &[SWEET, run("size", "9 count, 12 count, 16 count, 24 count, 36 count", 2, 4)],
            price: (10, 64),
        },
        Family {
            query: "pasta noodles",
            path: "Grocery & Gourmet Food › Pasta & Noodles › Pasta",
            attributes: "gluten free, high protein, whole wheat, organic, low carb, bronze cut, slow dried, egg free, \
                         non gmo, vegan, +added spinach",
            materials: "durum semolina, chickpea flour, brown rice flour",
            options: &[pick("style", "penne, fusilli, spaghetti, rotini, linguine, elbows", 2, 5), PACK],
            price: (5, 36),
        },
        Family {
            query: "fruit snacks",
            path: "Grocery & Gourmet Food › Snack Foods › Fruit Snacks",
            attributes: "gluten free, fat free, organic, gelatin free, +no added sugar, vegan, individually wrapped, kosher, \
                         nut free, +vitamin c, +real fruit",
            materials: "apple puree, grape juice, pear puree",
            options: &[FRUIT, PACK],
            price: (6, 35),
        },
        Family {
            query: "seasoning blends",
            path: "Grocery & Gourmet Food › Herbs, Spices & Seasonings › Mixed Spices",
            attributes: "salt free, gluten free, organic, freshly ground, non gmo, sugar free, keto friendly, kosher, \
                         +shaker top, +glass jar, +smoked paprika",
            materials: "dried herbs, toasted seeds, ground peppers",
            options: &[
                pick("flavor", "taco, italian, cajun, everything, lemon herb, curry, steakhouse", 3, 6),
                WEIGHT,
            ],
            price: (5, 30),
        },
    ],
};
