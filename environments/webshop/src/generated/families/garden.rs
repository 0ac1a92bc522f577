//! Furniture and things for the home and the garden.

use super::{Department, Dimension, Family, pick, run};

const COLORS: Dimension = pick(
    "color",
    "white, black, grey, beige, espresso, walnut, natural, navy, sage green, terracotta, ivory, dusty blue",
    4,
    8,
);
const BED: Dimension = run("size", "twin, full, queen, king", 2, 4);

pub(super) static GARDEN: Department = Department {
    name: "garden",
    brands: "Alder & Ash, Birchmoor, Casa Lindo, Dovetail House, Everhaven, Foxglove Home, Grange, Hollis Living, \
             Inglenook, Jasper Row, Kiln & Loom, Lakehurst, Moss & Timber, Nestwell, Orchard Street, Plainsview",
    families: &[
        Family {
            query: "console tables",
            path: "Home & Kitchen › Furniture › Living Room Furniture › Tables › Sofa & Console Tables",
            attributes: "easy assemble, mid century, scratch resistant, space saving, heavy duty, hand finished, \
                         +storage drawers, +open shelf, +metal legs, +charging outlet, +adjustable feet",
            materials: "reclaimed pine, engineered oak, mango wood",
            options: &[COLORS, run("size", "36 inch, 42 inch, 48 inch, 55 inch, 63 inch", 2, 4)],
            price: (69, 340),
        },
        Family {
            query: "storage ottomans",
            path: "Home & Kitchen › Furniture › Living Room Furniture › Ottomans",
            attributes: "easy assemble, button tufted, foldable, water resistant, spot clean, hand stitched, \
                         +wooden legs, +hinged lid, +hidden tray, +foam padding, +side handles",
            materials: "faux leather, boucle, linen weave",
            options: &[COLORS, run("size", "15 inch, 24 inch, 30 inch, 43 inch", 2, 3)],
            price: (32, 190),
        },
        Family {
            query: "bed sheet sets",
            path: "Home & Kitchen › Bedding › Sheets & Pillowcases › Sheet & Pillowcase Sets",
            attributes: "machine washable, wrinkle free, fade resistant, hypoallergenic, moisture wicking, pill resistant, \
                         +deep pockets, +elastic corners, +embroidered hem, +side storage",
            materials: "cotton percale, bamboo viscose, brushed microfiber",
            options: &[COLORS, BED],
            price: (22, 160),
        },
        Family {
            query: "memory foam mattresses",
            path: "Home & Kitchen › Furniture › Bedroom Furniture › Mattresses",
            attributes: "medium firm, pressure relieving, hypoallergenic, motion isolating, roll packed, certified safe, \
                         +cooling gel, +washable cover, +edge support, +bamboo cover, +non skid base",
            materials: "layered foam, charcoal infused foam, latex layered foam",
            options: &[BED, run("style", "6 inch, 8 inch, 10 inch, 12 inch, 14 inch", 2, 4)],
            price: (140, 780),
        },
        Family {
            query: "blackout curtains",
            path: "Home & Kitchen › Home Décor › Window Treatments › Curtains & Drapes",
            attributes: "machine washable, noise reducing, thermal insulated, wrinkle resistant, energy efficient, \
                         fade resistant, +grommet top, +rod pocket, +matching tiebacks, +triple weave",
            materials: "velvet, faux linen, heavy polyester",
            options: &[COLORS, run("size", "42 x 63, 42 x 84, 52 x 84, 52 x 95, 52 x 108", 2, 4)],
            price: (18, 110),
        },
        Family {
            query: "area rugs",
            path: "Home & Kitchen › Home Décor › Area Rugs, Runners & Pads › Area Rugs",
            attributes: "stain resistant, non shedding, machine washable, pet friendly, hand tufted, fade resistant, \
                         +low pile, +non skid backing, +fringed edges, +jute backing",
            materials: "polypropylene, wool yarn, cotton chenille",
            options: &[COLORS, run("size", "2 x 3, 3 x 5, 4 x 6, 5 x 8, 8 x 10, 9 x 12", 3, 5)],
            price: (28, 420),
        },
        Family {
            query: "bar stools",
            path: "Home & Kitchen › Furniture › Game & Recreation Room Furniture › Home Bar Furniture › Barstools",
            attributes: "height adjustable, easy assemble, stackable, easy clean, heavy duty, mid century, +swivel seat, \
                         +footrest ring, +padded back, +steel frame, +floor protectors",
            materials: "pu upholstery, bent plywood, woven rope",
            options: &[COLORS, pick("size", "single, set of two, set of three, set of four", 2, 3)],
            price: (58, 320),
        },
        Family {
            query: "table lamps",
            path: "Home & Kitchen › Lighting › Lamps & Shades › Table Lamps",
            attributes: "dimmable, touch controlled, energy efficient, hand blown, easy install, eye caring, \
                         +usb ports, +fabric shade, +bulb included, +pull chain, +marble base",
            materials: "ceramic, brushed brass, clear glass",
            options: &[COLORS, pick("style", "modern, farmhouse, coastal, industrial, vintage", 2, 4)],
            price: (21, 170),
        },
        Family {
            query: "shower curtains",
            path: "Home & Kitchen › Bath › Bathroom Accessories › Shower Curtains",
            attributes: "machine washable, mildew resistant, quick drying, odorless, fade resistant, eco friendly, \
                         +weighted hem, +rust proof grommets, +matching hooks, +snap in liner",
            materials: "waffle polyester, cotton duck, hemp",
            options: &[COLORS, run("size", "36 x 70, 54 x 78, 60 x 72, 71 x 74, 73 x 84", 2, 4)],
            price: (12, 58),
        },
        Family {
            query: "kitchen knife sets",
            path: "Home & Kitchen › Kitchen & Dining › Cutlery & Knife Accessories › Sets",
            attributes: "dishwasher safe, hand forged, rust resistant, razor sharp, gift boxed, full tang, \
                         +wooden block, +built in sharpener, +ergonomic handles, +blade guards, +steak knives",
            materials: "carbon steel, damascus steel, molybdenum steel",
            options: &[COLORS, run("size", "5 piece, 8 piece, 12 piece, 15 piece, 19 piece", 2, 4)],
            price: (28, 260),
        },
        Family {
            query: "outdoor planters",
            path: "Patio, Lawn & Garden › Gardening & Lawn Care › Pots, Planters & Container Accessories › Planters",
            attributes: "frost proof, lightweight, uv resistant, self watering, hand glazed, stackable, +drainage holes, \
                         +matching saucer, +rolling base, +raised feet, +trellis panel",
            materials: "fiberstone, glazed clay, recycled resin",
            options: &[COLORS, run("size", "8 inch, 10 inch, 12 inch, 16 inch, 20 inch", 2, 4)],
            price: (15, 130),
        },
        Family {
            query: "patio umbrellas",
            path: "Patio, Lawn & Garden › Patio Furniture & Accessories › Umbrellas & Shade › Umbrellas",
            attributes: "water repellent, wind resistant, fade resistant, easy open, rust proof, solar powered, \
                         +push button tilt, +crank handle, +air vent, +carry bag, +led strips",
            materials: "coated aluminum, eucalyptus, powder coated steel",
            options: &[COLORS, run("size", "7.5 ft, 9 ft, 10 ft, 11 ft, 13 ft", 2, 4)],
            price: (39, 290),
        },
        Family {
            query: "throw pillow covers",
            path: "Home & Kitchen › Bedding › Decorative Pillows, Inserts & Covers › Throw Pillow Covers",
            attributes: "machine washable, double sided, exquisite, super soft, fade resistant, hand embroidered, \
                         +hidden zipper, +tassel trim, +piped edges, +geometric pattern",
            materials: "corduroy, velvet, linen weave",
            options: &[COLORS, run("size", "12 x 21, 14 x 36, 16 x 24, 18 x 30, 20 x 40", 2, 4)],
            price: (9, 52),
        },
        Family {
            query: "wall shelves",
            path: "Home & Kitchen › Home Décor › Home Décor Accents › Decorative Shelves › Floating",
            attributes: "wall mounted, easy install, heavy duty, rustic, moisture proof, space saving, \
                         +towel bar, +hidden brackets, +raised edge, +key hooks, +corner fit",
            materials: "paulownia, acacia, tempered glass",
            options: &[COLORS, pick("size", "single, set of two, set of three, set of five", 2, 3)],
            price: (16, 105),
        },
    ],
};
