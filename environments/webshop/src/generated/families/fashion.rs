//! Clothing, shoes and what is worn with them.

use super::{Department, Dimension, Family, pick, run};

const COLORS: Dimension = pick(
    "color",
    "black, white, navy, grey, olive, burgundy, tan, royal blue, charcoal, forest green, rust, cream, teal, plum",
    4,
    8,
);
const CLOTHES: Dimension = run("size", "xs, small, medium, large, xl, xxl, 3xl", 3, 6);
const MEN_SHOES: Dimension = run("size", "6, 7, 8, 9, 10, 11, 12, 13, 14, 15", 4, 7);
const WOMEN_SHOES: Dimension = run("size", "4, 5, 6, 7, 8, 9, 10, 11, 12", 4, 7);
const FIT: Dimension = pick("fit type", "slim, regular, relaxed, tall", 2, 3);

pub(super) static FASHION: Department = Department {
    name: "fashion",
    brands: "Northfell, Arden & Rye, Coastline Supply, Maple Row, Veldt, Harbor Lane, Kestrel, Lumen Thread, Ostrava, \
             Pinecroft, Quill & Co, Redmark, Solstead, Tamarind, Umbra Works, Westerly",
    families: &[
        Family {
            query: "men's running shoes",
            path: "Clothing, Shoes & Jewelry › Men › Shoes › Athletic › Running",
            attributes: "non slip, waterproof, lightweight, breathable, wide fit, quick drying, reflective, +memory foam, \
                         +arch support, +rubber sole, +lace closure, +removable insole",
            materials: "engineered mesh, knitted textile, recycled polyester",
            options: &[COLORS, MEN_SHOES],
            price: (34, 150),
        },
        Family {
            query: "women's walking sandals",
            path: "Clothing, Shoes & Jewelry › Women › Shoes › Sandals",
            attributes: "open toe, water resistant, slip resistant, lightweight, vegan, hand stitched, +ankle strap, \
                         +arch support, +rubber sole, +cushioned footbed, +adjustable straps",
            materials: "nubuck, woven webbing, faux suede",
            options: &[COLORS, WOMEN_SHOES],
            price: (22, 95),
        },
        Family {
            query: "women's winter boots",
            path: "Clothing, Shoes & Jewelry › Women › Shoes › Boots",
            attributes: "waterproof, insulated, non slip, knee high, machine washable, +faux fur lining, +rubber sole, \
                         +side zipper, +memory foam, +steel shank, +low heel",
            materials: "oiled leather, quilted nylon, waxed canvas",
            options: &[COLORS, WOMEN_SHOES],
            price: (38, 180),
        },
        Family {
            query: "men's dress shirts",
            path: "Clothing, Shoes & Jewelry › Men › Clothing › Shirts",
            attributes: "wrinkle free, machine washable, long sleeved, moisture wicking, stain resistant, easy care, \
                         +button down collar, +french cuffs, +chest pocket, +stretch fabric, +spread collar",
            materials: "cotton poplin, oxford cloth, bamboo viscose",
            options: &[COLORS, FIT, CLOTHES],
            price: (18, 80),
        },
        Family {
            query: "men's hiking pants",
            path: "Clothing, Shoes & Jewelry › Men › Clothing › Pants",
            attributes: "water resistant, quick drying, convertible, machine washable, wind proof, rip stop, \
                         +elastic waist, +zippered pockets, +reinforced knees, +sun protection, +drawstring hem",
            materials: "ripstop nylon, brushed twill, recycled polyester",
            options: &[COLORS, CLOTHES],
            price: (25, 110),
        },
        Family {
            query: "women's summer dresses",
            path: "Clothing, Shoes & Jewelry › Women › Clothing › Dresses",
            attributes: "short sleeved, knee length, hand washable, wrinkle resistant, floral printed, backless, \
                         +side pockets, +elastic waist, +v neckline, +tie belt, +ruffle hem, +soft lining",
            materials: "rayon crepe, linen blend, cotton voile",
            options: &[COLORS, CLOTHES],
            price: (19, 90),
        },
        Family {
            query: "women's yoga leggings",
            path: "Clothing, Shoes & Jewelry › Women › Clothing › Active",
            attributes: "high waisted, squat proof, moisture wicking, machine washable, seamless, ankle length, \
                         +tummy control, +phone pocket, +four way stretch, +mesh panels, +compression fit",
            materials: "nylon spandex, brushed jersey, cotton spandex",
            options: &[COLORS, CLOTHES],
            price: (16, 75),
        },
        Family {
            query: "men's winter jackets",
            path: "Clothing, Shoes & Jewelry › Men › Clothing › Jackets & Coats",
            attributes: "water resistant, wind proof, machine washable, packable, fleece lined, reflective, \
                         +detachable hood, +inner pocket, +elastic cuffs, +storm flap, +two way zipper",
            materials: "quilted nylon, softshell, waxed cotton",
            options: &[COLORS, CLOTHES],
            price: (45, 220),
        },
        Family {
            query: "women's cardigan sweaters",
            path: "Clothing, Shoes & Jewelry › Women › Clothing › Sweaters",
            attributes: "long sleeved, hand washable, cable knit, open front, lightweight, pill resistant, \
                         +button closure, +front pockets, +ribbed cuffs, +shawl collar, +dropped shoulders",
            materials: "merino wool, cotton yarn, acrylic blend",
            options: &[COLORS, CLOTHES],
            price: (20, 98),
        },
        Family {
            query: "kids' backpacks",
            path: "Clothing, Shoes & Jewelry › Luggage & Travel Gear › Backpacks › Kids",
            attributes: "water resistant, lightweight, easy clean, reflective, machine washable, +chest strap, \
                         +padded straps, +laptop sleeve, +bottle pocket, +name tag, +double zipper",
            materials: "oxford polyester, cotton canvas, ripstop nylon",
            options: &[COLORS, run("size", "12 inch, 14 inch, 16 inch, 18 inch", 2, 3)],
            price: (17, 60),
        },
        Family {
            query: "men's leather wallets",
            path: "Clothing, Shoes & Jewelry › Men › Accessories › Wallets",
            attributes: "slim, hand crafted, rfid blocking, water resistant, gift boxed, +coin pocket, +money clip, \
                         +id window, +card slots, +zipper closure",
            materials: "full grain cowhide, bridle leather, buffalo leather",
            options: &[COLORS, pick("style", "bifold, trifold, front pocket, long", 2, 4)],
            price: (14, 70),
        },
        Family {
            query: "wool hiking socks",
            path: "Clothing, Shoes & Jewelry › Novelty & More › Clothing › Socks",
            attributes: "moisture wicking, seamless, machine washable, odor resistant, knee high, blister free, \
                         +arch support, +cushioned heel, +reinforced toe, +ribbed top",
            materials: "merino blend, alpaca blend, lambswool blend",
            options: &[COLORS, run("size", "small, medium, large, xl", 2, 4)],
            price: (9, 40),
        },
        Family {
            query: "wide brim sun hats",
            path: "Clothing, Shoes & Jewelry › Women › Accessories › Hats & Caps",
            attributes: "packable, adjustable, water repellent, breathable, hand woven, machine washable, +chin strap, \
                         +neck flap, +uv protection, +sweat band, +ribbon trim",
            materials: "paper straw, cotton twill, seagrass",
            options: &[COLORS],
            price: (13, 58),
        },
        Family {
            query: "women's tote bags",
            path: "Clothing, Shoes & Jewelry › Women › Handbags & Wallets › Totes",
            attributes: "water resistant, vegan, foldable, machine washable, hand painted, reversible, +zipper closure, \
                         +laptop sleeve, +inner pocket, +long straps, +magnetic snap",
            materials: "cotton canvas, faux leather, recycled sailcloth",
            options: &[COLORS, run("size", "small, medium, large", 2, 3)],
            price: (15, 88),
        },
    ],
};
