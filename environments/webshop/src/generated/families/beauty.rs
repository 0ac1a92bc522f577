//! Care of skin, hair, nails and teeth.

use super::{Department, Dimension, Family, pick, run};

const SCENT: Dimension = pick(
    "scent",
    "lavender, rose, eucalyptus, citrus, amber musk, vanilla, green tea, coconut, jasmine, mint",
    3,
    6,
);
const SHADE: Dimension =
    pick("color", "ivory, porcelain, beige, honey, caramel, chestnut, mocha, espresso, almond, amber", 4, 8);
const BRIGHT: Dimension =
    pick("color", "cherry, coral, brick, nude, plum, berry, mauve, crimson, peach, fuchsia, wine", 4, 8);
const PLASTIC: Dimension = pick("color", "black, white, pink, lilac, teal, gold, silver, mint", 4, 7);
const LIQUID: Dimension = run("size", "1 fl oz, 2 fl oz, 4 fl oz, 8 fl oz, 12 fl oz, 16 fl oz", 2, 4);
const PACK: Dimension = run("size", "1 pack, 2 pack, 3 pack, 6 pack", 2, 4);

pub(super) static BEAUTY: Department = Department {
    name: "beauty",
    brands: "Alba Fern, Belle Maris, Cove Apothecary, Dewlight, Elmire, Fable Skin, Glasswater, Halcyon Rose, Isolde, \
             Juno Grove, Kindleaf, Linden Lab, Mirabel, Nectarine, Orchid House, Petalworks",
    families: &[
        Family {
            query: "face moisturizers",
            path: "Beauty & Personal Care › Skin Care › Face › Creams & Moisturizers",
            attributes: "fragrance free, cruelty free, oil free, anti aging, non greasy, dermatologist tested, vegan, \
                         +hyaluronic acid, +green tea, +vitamin c, +shea butter, +coconut oil",
            materials: "a light lotion, a rich cream, a water gel",
            options: &[LIQUID, pick("style", "daily, overnight, travel", 2, 3)],
            price: (8, 65),
        },
        Family {
            query: "hair conditioners",
            path: "Beauty & Personal Care › Hair Care › Shampoo & Conditioner › Conditioners",
            attributes: "sulfate free, paraben free, cruelty free, color safe, vegan, leave in, anti frizz, +argan oil, \
                         +tea tree, +biotin, +keratin, +aloe vera",
            materials: "a creamy balm, a light milk, a thick mask",
            options: &[SCENT, LIQUID],
            price: (7, 45),
        },
        Family {
            query: "matte lipsticks",
            path: "Beauty & Personal Care › Makeup › Lips › Lipstick",
            attributes: "long lasting, cruelty free, transfer proof, highly pigmented, paraben free, vegan, non drying, \
                         +vitamin e, +jojoba oil, +mirror cap, +precision tip",
            materials: "a soft bullet, a liquid formula, a slim crayon",
            options: &[BRIGHT],
            price: (6, 38),
        },
        Family {
            query: "liquid foundations",
            path: "Beauty & Personal Care › Makeup › Face › Foundation",
            attributes: "long lasting, oil free, cruelty free, full coverage, sweat proof, fragrance free, buildable, \
                         +sun protection, +hyaluronic acid, +pump bottle, +matte finish, +dewy finish",
            materials: "a whipped serum, a fluid emulsion, a silky cream",
            options: &[SHADE],
            price: (9, 55),
        },
        Family {
            query: "electric toothbrushes",
            path: "Beauty & Personal Care › Oral Care › Toothbrushes & Accessories › Electric",
            attributes: "rechargeable, waterproof, ultrasonic, quiet, dentist recommended, easy grip, +travel case, \
                         +pressure sensor, +replacement heads, +smart timer, +whitening mode",
            materials: "matte plastic, brushed aluminum, bamboo fibre",
            options: &[PLASTIC],
            price: (18, 140),
        },
        Family {
            query: "makeup brush sets",
            path: "Beauty & Personal Care › Tools & Accessories › Makeup Brushes & Tools › Brush Sets",
            attributes: "cruelty free, easy clean, travel size, vegan, hypoallergenic, shed free, +synthetic bristles, \
                         +wooden handles, +carry pouch, +drying rack, +blending sponge",
            materials: "beech wood, anodized metal, bamboo",
            options: &[PLASTIC, run("size", "6 piece, 8 piece, 10 piece, 12 piece, 16 piece", 2, 4)],
            price: (9, 60),
        },
        Family {
            query: "body lotions",
            path: "Beauty & Personal Care › Skin Care › Body › Moisturizers › Lotions",
            attributes: "fast absorbing, non greasy, paraben free, cruelty free, hypoallergenic, dermatologist tested, \
                         +shea butter, +coconut oil, +cocoa butter, +oat extract, +pump bottle",
            materials: "a milky lotion, a whipped butter, a cooling gel",
            options: &[SCENT, LIQUID],
            price: (6, 36),
        },
        Family {
            query: "hair dryers",
            path: "Beauty & Personal Care › Hair Care › Styling Tools & Appliances › Hair Dryers",
            attributes: "foldable, lightweight, ionic, low noise, fast drying, energy saving, +diffuser nozzle, \
                         +cool shot, +ceramic coating, +dual voltage, +hanging loop",
            materials: "matte plastic, tempered nylon, brushed alloy",
            options: &[PLASTIC, pick("style", "classic, travel, salon", 2, 3)],
            price: (19, 160),
        },
        Family {
            query: "nail polish kits",
            path: "Beauty & Personal Care › Foot, Hand & Nail Care › Nail Polish",
            attributes: "quick drying, chip resistant, non toxic, cruelty free, long lasting, odorless, +uv lamp, \
                         +glitter finish, +top coat, +base coat, +cuticle oil",
            materials: "a glossy lacquer, a gel formula, a water base",
            options: &[BRIGHT, run("size", "3 piece, 6 piece, 9 piece, 12 piece", 2, 3)],
            price: (8, 48),
        },
        Family {
            query: "facial cleansers",
            path: "Beauty & Personal Care › Skin Care › Face › Cleansers",
            attributes: "soap free, oil free, fragrance free, non drying, cruelty free, alcohol free, +salicylic acid, \
                         +tea tree, +green tea, +aloe vera, +glycolic acid, +pump bottle",
            materials: "a foaming wash, a milk, a balm",
            options: &[LIQUID, pick("style", "dry skin, oily skin, sensitive skin, combination skin", 2, 4)],
            price: (6, 42),
        },
        Family {
            query: "beard grooming kits",
            path: "Beauty & Personal Care › Shave & Hair Removal › Men's › Beard & Mustache Care",
            attributes: "natural, alcohol free, gift boxed, non greasy, travel size, cruelty free, +boar brush, \
                         +wooden comb, +argan oil, +steel scissors, +beard balm",
            materials: "a tin set, a cotton pouch, a cedar box",
            options: &[SCENT, PACK],
            price: (14, 68),
        },
        Family {
            query: "bath bombs",
            path: "Beauty & Personal Care › Bath & Bathing Accessories › Bath › Bath Bombs",
            attributes: "hand made, vegan, stain free, gift boxed, cruelty free, paraben free, +essential oils, \
                         +sea salt, +dried petals, +shea butter, +moisturizing foam",
            materials: "mineral soda, citrus salts, oat powder",
            options: &[SCENT, run("size", "4 count, 6 count, 9 count, 12 count, 24 count", 2, 4)],
            price: (8, 44),
        },
        Family {
            query: "vanity mirrors",
            path: "Beauty & Personal Care › Tools & Accessories › Mirrors › Makeup Mirrors",
            attributes: "wall mounted, rechargeable, dimmable, shatter proof, foldable, easy install, +led lights, \
                         +touch control, +10x magnification, +storage tray, +swivel stand",
            materials: "brushed steel, painted iron, bamboo",
            options: &[PLASTIC, run("size", "6 inch, 8 inch, 10 inch, 12 inch, 16 inch", 2, 4)],
            price: (16, 120),
        },
        Family {
            query: "perfume oils",
            path: "Beauty & Personal Care › Fragrance › Women's › Perfume Oils",
            attributes: "alcohol free, long lasting, vegan, travel size, cruelty free, hand blended, +roll on applicator, \
                         +glass bottle, +floral notes, +woody notes, +musk base",
            materials: "a jojoba base, a fractionated base, an almond base",
            options: &[SCENT, run("size", "5 ml, 10 ml, 15 ml, 30 ml", 2, 3)],
            price: (11, 75),
        },
    ],
};
