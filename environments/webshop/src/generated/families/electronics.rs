//! Devices and what plugs into them.

use super::{Department, Dimension, Family, pick, run};

const COLORS: Dimension = pick(
    "color",
    "black, white, silver, graphite, midnight blue, red, mint, rose gold, lavender, sand, orange",
    4,
    8,
);

pub(super) static ELECTRONICS: Department = Department {
    name: "electronics",
    brands: "Aperon, Brightwave, Cirrus Labs, Dynora, Elektra Nine, Fluxline, Gridpoint, Helioson, Ionix, Joule & Co, \
             Kappa Audio, Lyraphone, Metrica, Novaplex, Orbitel, Pulsegear",
    families: &[
        Family {
            query: "wireless earbuds",
            path: "Electronics › Headphones, Earbuds & Accessories › Headphones & Earbuds › Earbud Headphones",
            attributes: "noise cancelling, water resistant, sweat proof, fast charging, low latency, hands free, \
                         +touch control, +charging case, +deep bass, +ear hooks, +stereo sound",
            materials: "matte polycarbonate, soft silicone, polished alloy",
            options: &[COLORS],
            price: (19, 190),
        },
        Family {
            query: "bluetooth speakers",
            path: "Electronics › Portable Audio & Video › Portable Speakers & Docks › Portable Bluetooth Speakers",
            attributes: "waterproof, dust proof, hands free, long lasting, shock proof, floating, +stereo pairing, \
                         +deep bass, +led lights, +carry strap, +power bank",
            materials: "woven fabric, rubberized plastic, bamboo panels",
            options: &[COLORS, run("size", "small, medium, large", 2, 3)],
            price: (18, 220),
        },
        Family {
            query: "phone cases",
            path: "Cell Phones & Accessories › Cases, Holsters & Sleeves › Basic Cases",
            attributes: "shock proof, scratch resistant, slim fit, non yellowing, biodegradable, drop tested, \
                         +wireless charging, +card slot, +ring stand, +camera cover, +raised bezels",
            materials: "clear tpu, aramid fiber, vegan leather",
            options: &[COLORS, pick("style", "classic, plus, pro, mini, ultra", 3, 5)],
            price: (8, 55),
        },
        Family {
            query: "laptop stands",
            path: "Electronics › Computers & Accessories › Laptop Accessories › Stands",
            attributes: "height adjustable, foldable, heat dissipating, non slip, heavy duty, easy assemble, \
                         +usb hub, +cable organizer, +cooling fan, +phone holder, +silicone pads",
            materials: "anodized aluminum, walnut veneer, carbon steel",
            options: &[COLORS, run("size", "13 inch, 14 inch, 15.6 inch, 17 inch", 2, 4)],
            price: (16, 110),
        },
        Family {
            query: "mechanical keyboards",
            path: "Electronics › Computers & Accessories › Computer Accessories & Peripherals › Keyboards",
            attributes: "hot swappable, spill resistant, fully programmable, low profile, rechargeable, quiet, \
                         +rgb backlight, +wrist rest, +volume knob, +pbt keycaps, +detachable cable",
            materials: "brushed aluminum, acrylic, abs plastic",
            options: &[COLORS, pick("style", "linear, tactile, clicky, silent", 2, 4)],
            price: (32, 240),
        },
        Family {
            query: "portable chargers",
            path: "Cell Phones & Accessories › Accessories › Chargers & Power Adapters › Portable Power Banks",
            attributes: "fast charging, ultra slim, high capacity, solar powered, water resistant, flight approved, \
                         +digital display, +built in cable, +led flashlight, +pass through charging, +dual ports",
            materials: "textured alloy, matte plastic, rubberized shell",
            options: &[COLORS, run("size", "5000 mah, 10000 mah, 20000 mah, 30000 mah", 2, 4)],
            price: (15, 120),
        },
        Family {
            query: "security cameras",
            path: "Electronics › Camera & Photo › Video Surveillance › Surveillance Cameras",
            attributes: "weather proof, motion activated, easy install, solar powered, high definition, battery powered, \
                         +night vision, +two way audio, +cloud storage, +pan and tilt, +human detection",
            materials: "sealed plastic, die cast metal, tempered glass",
            options: &[COLORS, run("size", "1 pack, 2 pack, 3 pack, 4 pack", 2, 3)],
            price: (28, 260),
        },
        Family {
            query: "smart watches",
            path: "Electronics › Wearable Technology › Smartwatches",
            attributes: "waterproof, fast charging, always on, scratch resistant, lightweight, hands free, \
                         +heart rate monitor, +sleep tracking, +built in gps, +amoled display, +voice assistant",
            materials: "stainless steel, titanium alloy, reinforced polymer",
            options: &[COLORS, run("size", "38 mm, 40 mm, 42 mm, 44 mm, 46 mm", 2, 4)],
            price: (38, 380),
        },
        Family {
            query: "tablet sleeves",
            path: "Electronics › Computers & Accessories › Tablet Accessories › Bags, Cases & Sleeves",
            attributes: "shock absorbing, water repellent, dust proof, lightweight, hand sewn, machine washable, \
                         +pencil holder, +accessory pocket, +plush lining, +carry handle, +magnetic flap",
            materials: "neoprene, wool felt, recycled canvas",
            options: &[COLORS, run("size", "8 inch, 10 inch, 11 inch, 12.9 inch", 2, 4)],
            price: (11, 65),
        },
        Family {
            query: "hdmi cables",
            path: "Electronics › Television & Video › Accessories › Cables › HDMI Cables",
            attributes: "gold plated, high speed, tangle free, in wall rated, double shielded, heavy duty, \
                         +ethernet channel, +4k support, +braided jacket, +locking tips, +slim connector",
            materials: "oxygen free copper, silver plated copper, optical fiber",
            options: &[COLORS, run("size", "3 ft, 6 ft, 10 ft, 15 ft, 25 ft, 50 ft", 3, 5)],
            price: (7, 60),
        },
        Family {
            query: "home projectors",
            path: "Electronics › Television & Video › Video Projectors",
            attributes: "high resolution, low noise, portable, dust sealed, short throw, ceiling mountable, \
                         +auto focus, +keystone correction, +built in speakers, +dual band wifi, +carry bag",
            materials: "vented plastic, satin alloy, fabric panels",
            options: &[COLORS, pick("style", "720p, 1080p, 1440p, 4k", 2, 3)],
            price: (70, 590),
        },
        Family {
            query: "gaming headsets",
            path: "Video Games › PC › Accessories › Headsets",
            attributes: "noise isolating, lightweight, plug and play, sweat resistant, low latency, foldable, \
                         +surround sound, +detachable microphone, +rgb lights, +inline controls, +gel cushions",
            materials: "steel and leatherette, nylon and mesh, aluminum and velour",
            options: &[COLORS, pick("style", "corded, cordless, hybrid", 2, 3)],
            price: (24, 210),
        },
        Family {
            query: "camera tripods",
            path: "Electronics › Camera & Photo › Tripods & Monopods › Complete Tripods",
            attributes: "quick release, carbon reinforced, heavy duty, travel size, water resistant, easy carry, \
                         +ball head, +phone mount, +bubble level, +spiked feet, +remote shutter",
            materials: "magnesium alloy, anodized aluminum, layered composite",
            options: &[COLORS, run("size", "50 inch, 60 inch, 66 inch, 72 inch, 80 inch", 2, 4)],
            price: (22, 230),
        },
        Family {
            query: "wifi routers",
            path: "Electronics › Computers & Accessories › Networking Products › Routers",
            attributes: "dual band, easy install, high speed, wall mountable, energy efficient, whole home, \
                         +parental controls, +guest network, +gigabit ports, +external antennas, +usb port",
            materials: "vented plastic, recycled polymer, powder coated metal",
            options: &[COLORS, run("size", "1 pack, 2 pack, 3 pack", 2, 3)],
            price: (34, 330),
        },
    ],
};
