//! What the invented catalogue is made of.

/// What something may be made of, and how that is cared for.
pub(super) struct Stuff {
    pub(super) materials: &'static [&'static str],
    pub(super) cares: &'static [&'static str],
}

/// A kind of thing: how it is called, what it may be made of, what it costs.
pub(super) struct Family {
    /// The beginning of its SKUs.
    pub(super) code: &'static str,
    pub(super) noun: &'static str,
    pub(super) categories: &'static [&'static str],
    pub(super) stuff: Stuff,
    /// What tells one from another in its title; none means that nothing is said.
    pub(super) measures: &'static [&'static str],
    /// The option whose values are variants.
    pub(super) option: Option<(&'static str, &'static [&'static str])>,
    /// Prices in pence, from and to.
    pub(super) pence: (u32, u32),
    /// Weights in grams, from and to.
    pub(super) grams: (u32, u32),
}

const COLOURS: &[&str] = &["Sand", "Slate", "Moss", "Rust", "Ink", "Chalk"];
const SIZES: &[&str] = &["XS", "S", "M", "L", "XL"];
const FEET: &[&str] = &["37", "38", "39", "40", "41", "42", "43", "44", "45"];

const CERAMIC: Stuff = Stuff {
    materials: &["stoneware", "porcelain", "earthenware", "speckled stoneware"],
    cares: &["Safe in the dishwasher.", "Glazed inside and outside."],
};
const WOOD: Stuff = Stuff {
    materials: &["oak", "walnut", "beech", "ash", "cherry", "larch"],
    cares: &["Oil it twice a year.", "Wipe with a damp cloth."],
};
const METAL: Stuff = Stuff {
    materials: &["steel", "brass", "copper", "enamel", "cast iron"],
    cares: &["Wash by hand.", "Wipe with a soft cloth."],
};
const CLOTH: Stuff = Stuff {
    materials: &["linen", "cotton", "wool", "hemp", "organic cotton"],
    cares: &["Wash at 40 °C.", "Softer with every wash."],
};
const GLASS: Stuff = Stuff {
    materials: &["clear glass", "smoked glass", "recycled glass"],
    cares: &["Safe in the dishwasher.", "Mouth-blown, so no two are equal."],
};
const PAPER: Stuff = Stuff {
    materials: &["recycled paper", "cotton paper", "kraft paper"],
    cares: &["Keep it dry.", "Printed with plant-based ink."],
};
const HIDE: Stuff = Stuff {
    materials: &["leather", "canvas", "waxed cotton", "felt"],
    cares: &["Wipe with a damp cloth.", "Ages well; do not hide it."],
};

macro_rules! families {
    ($($code:literal $noun:literal $categories:expr, $materials:expr, $measures:expr, $option:expr, $pence:expr, $grams:expr;)*) => {
        &[$(Family {
            code: $code, noun: $noun, categories: &$categories, stuff: $materials, measures: &$measures,
            option: $option, pence: $pence, grams: $grams,
        },)*]
    };
}

#[rustfmt::skip]
pub(super) const FAMILIES: &[Family] = families! {
    "MUG" "mug"             ["Kitchen", "Mugs and cups"],    CERAMIC, ["250 ml", "350 ml", "450 ml"], Some(("Color", COLOURS)), (750, 2_400), (280, 460);
    "BWL" "bowl"            ["Kitchen", "Tableware"],        CERAMIC, ["14 cm", "18 cm", "24 cm"],    Some(("Color", COLOURS)), (900, 3_900), (350, 1_200);
    "PLT" "dinner plate"    ["Kitchen", "Tableware"],        CERAMIC, ["24 cm", "27 cm", "30 cm"],    None, (1_100, 3_600), (500, 900);
    "TPT" "teapot"          ["Kitchen", "Tea and coffee"],   CERAMIC, ["0.8 l", "1.2 l"],             None, (2_400, 7_900), (700, 1_300);
    "DRP" "pour-over dripper" ["Kitchen", "Tea and coffee"], CERAMIC, ["1 cup", "4 cups"],            None, (1_800, 4_200), (250, 600);
    "CRF" "carafe"          ["Kitchen", "Glass"],            GLASS,   ["0.5 l", "1 l", "1.5 l"],      None, (1_400, 4_400), (450, 900);
    "GLS" "tumbler"         ["Kitchen", "Glass"],            GLASS,   ["set of 2", "set of 4", "set of 6"], None, (1_200, 5_200), (400, 1_500);
    "PAN" "frying pan"      ["Kitchen", "Pots and pans"],    METAL,   ["20 cm", "24 cm", "28 cm"],    None, (2_900, 12_900), (900, 3_200);
    "POT" "saucepan"        ["Kitchen", "Pots and pans"],    METAL,   ["1.5 l", "2 l", "3 l"],        None, (2_600, 9_900), (700, 2_400);
    "KNF" "kitchen knife"   ["Kitchen", "Knives"],           WOOD,    ["9 cm", "15 cm", "20 cm"],     None, (1_900, 14_900), (80, 320);
    "BRD" "cutting board"   ["Kitchen", "Boards"],           WOOD,    ["30 × 20 cm", "40 × 28 cm"],   None, (1_800, 7_900), (600, 2_600);
    "TWL" "tea towel"       ["Kitchen", "Textiles"],         CLOTH,   ["set of 2", "set of 3"],       Some(("Color", COLOURS)), (900, 2_600), (120, 260);
    "APR" "apron"           ["Kitchen", "Textiles"],         CLOTH,   [],                             Some(("Color", COLOURS)), (2_200, 5_900), (250, 450);
    "LMP" "desk lamp"       ["Lighting", "Desk lamps"],      METAL,   [],                             Some(("Color", COLOURS)), (3_900, 18_900), (1_200, 3_500);
    "PEN" "pendant lamp"    ["Lighting", "Ceiling lamps"],   METAL,   ["25 cm", "35 cm", "45 cm"],    Some(("Color", COLOURS)), (5_900, 24_900), (900, 3_900);
    "CND" "candlestick"     ["Lighting", "Candles"],         METAL,   ["10 cm", "18 cm"],             None, (900, 4_900), (150, 900);
    "BTW" "bath towel"      ["Bath", "Towels"],              CLOTH,   ["50 × 100 cm", "70 × 140 cm"], Some(("Color", COLOURS)), (1_400, 4_900), (300, 800);
    "BMT" "bath mat"        ["Bath", "Mats"],                CLOTH,   ["50 × 80 cm", "60 × 90 cm"],   Some(("Color", COLOURS)), (1_900, 5_400), (600, 1_400);
    "SPD" "soap dish"       ["Bath", "Accessories"],         WOOD,    [],                             None, (700, 2_400), (120, 400);
    "BLK" "blanket"         ["Bedroom", "Blankets"],         CLOTH,   ["130 × 180 cm", "150 × 200 cm"], Some(("Color", COLOURS)), (4_900, 19_900), (900, 2_300);
    "PLC" "pillowcase"      ["Bedroom", "Bed linen"],        CLOTH,   ["40 × 80 cm", "80 × 80 cm"],   Some(("Color", COLOURS)), (1_400, 3_900), (120, 260);
    "DVT" "duvet cover"     ["Bedroom", "Bed linen"],        CLOTH,   ["135 × 200 cm", "200 × 200 cm"], Some(("Color", COLOURS)), (4_900, 17_900), (700, 1_900);
    "CLK" "table clock"     ["Living", "Clocks"],            WOOD,    [],                             None, (3_400, 12_900), (300, 900);
    "FRM" "picture frame"   ["Living", "Frames"],            WOOD,    ["A5", "A4", "A3"],             None, (900, 4_900), (250, 1_100);
    "VAS" "vase"            ["Living", "Vases"],             CERAMIC, ["15 cm", "22 cm", "30 cm"],    Some(("Color", COLOURS)), (1_600, 7_900), (500, 2_200);
    "STL" "stool"           ["Furniture", "Seats"],          WOOD,    ["45 cm", "65 cm"],             None, (7_900, 28_900), (3_200, 7_000);
    "SHL" "wall shelf"      ["Furniture", "Shelves"],        WOOD,    ["40 cm", "60 cm", "90 cm"],    None, (4_900, 17_900), (1_800, 6_000);
    "CTR" "coat rack"       ["Furniture", "Hall"],           WOOD,    ["3 hooks", "5 hooks"],         None, (3_900, 12_900), (1_200, 3_500);
    "NTB" "notebook"        ["Office", "Paper"],             PAPER,   ["A6", "A5", "A4"],             Some(("Ruling", &["Plain", "Ruled", "Dotted"])), (450, 1_900), (90, 420);
    "ENV" "envelopes"       ["Office", "Paper"],             PAPER,   ["C6, 25 pieces", "DL, 50 pieces"], None, (350, 1_200), (120, 500);
    "PNC" "pen cup"         ["Office", "Desk"],              HIDE,    [],                             None, (1_200, 4_200), (100, 500);
    "DSK" "desk pad"        ["Office", "Desk"],              HIDE,    ["60 × 40 cm", "80 × 40 cm"],   Some(("Color", COLOURS)), (2_900, 9_900), (300, 1_200);
    "BAG" "shoulder bag"    ["Bags", "Shoulder bags"],       HIDE,    [],                             Some(("Color", COLOURS)), (4_900, 24_900), (400, 1_300);
    "BPK" "backpack"        ["Bags", "Backpacks"],           HIDE,    ["14 l", "18 l", "24 l"],       Some(("Color", COLOURS)), (5_900, 21_900), (600, 1_500);
    "WLT" "wallet"          ["Bags", "Small leather"],       HIDE,    [],                             None, (2_400, 8_900), (60, 160);
    "SHT" "shirt"           ["Clothing", "Shirts"],          CLOTH,   [],                             Some(("Size", SIZES)), (3_900, 11_900), (180, 420);
    "SWT" "sweater"         ["Clothing", "Knitwear"],        CLOTH,   [],                             Some(("Size", SIZES)), (5_900, 18_900), (350, 900);
    "SCK" "socks"           ["Clothing", "Socks"],           CLOTH,   ["1 pair", "3 pairs"],          Some(("Size", &["36-38", "39-41", "42-44", "45-47"])), (600, 2_400), (50, 220);
    "SHO" "running shoe"    ["Sport", "Shoes"],              Stuff { materials: &["mesh", "recycled mesh", "knit"], cares: &["Wash by hand.", "Made for asphalt and for paths."] }, [], Some(("Size", FEET)), (6_900, 18_900), (420, 760);
    "BTL" "insulated bottle" ["Sport", "Bottles"],           METAL,   ["350 ml", "500 ml", "750 ml"], Some(("Color", COLOURS)), (1_800, 4_400), (220, 480);
    "RUG" "picnic rug"      ["Garden", "Outdoors"],          CLOTH,   ["150 × 130 cm"],               None, (2_900, 8_900), (900, 1_800);
    "TRW" "trowel"          ["Garden", "Tools"],             WOOD,    [],                             None, (900, 3_400), (180, 420);
    "PLP" "plant pot"       ["Garden", "Pots"],              CERAMIC, ["12 cm", "16 cm", "22 cm"],    Some(("Color", COLOURS)), (700, 3_900), (400, 2_800);
    "FDR" "bird feeder"     ["Garden", "Birds"],             WOOD,    [],                             None, (1_400, 4_900), (400, 1_400);
    "PZL" "jigsaw puzzle"   ["Toys", "Puzzles"],             PAPER,   ["500 pieces", "1,000 pieces", "2,000 pieces"], None, (1_200, 3_400), (500, 1_300);
    "BLC" "building blocks" ["Toys", "Wooden toys"],         WOOD,    ["50 pieces", "100 pieces"],    None, (1_900, 6_900), (900, 3_200);
};

/// The first halves of the names of collections; with the second halves they are 1,200.
pub(super) const BEGINNINGS: &[&str] = &[
    "Ald", "Ash", "Bar", "Beck", "Birch", "Bram", "Brook", "Carl", "Clare", "Cove", "Dal", "Dun", "Elm", "Esk", "Fal",
    "Fern", "Gar", "Glen", "Hal", "Hart", "Hazel", "Holm", "Ings", "Kel", "Kirk", "Lang", "Lind", "Lyn", "Mal", "Mer",
    "Nor", "Oak", "Pen", "Ros", "Sel", "Stan", "Thorn", "Ull", "Wey", "Wind",
];

pub(super) const ENDINGS: &[&str] = &[
    "beck", "bourne", "bridge", "bury", "by", "combe", "dale", "den", "field", "ford", "gate", "ham", "haven", "hill",
    "holt", "hurst", "ley", "low", "mere", "mouth", "ness", "over", "port", "ridge", "sea", "stead", "thorpe", "ton",
    "well", "wick",
];

pub(super) const BRANDS: &[&str] = &[
    "Alder & Finch",
    "Anvil Row",
    "Atelier Nord",
    "Bramble Lane",
    "Brightwater",
    "Common Thread",
    "Copperfield & Daughters",
    "Fjordlys",
    "Folkmade",
    "Gantry",
    "Greyfriars Pottery",
    "Halden",
    "Hearth & Hand",
    "Ilex",
    "Juniper Works",
    "Kestrel Goods",
    "Kiln Street",
    "Lantern Yard",
    "Linen & Larch",
    "Lodestar",
    "Marlow Mill",
    "Mossbank",
    "Nettle & Rye",
    "Northlight",
    "Old Quay",
    "Osier",
    "Paper Moon Press",
    "Pinder Bros",
    "Quarry House",
    "Rookery",
    "Saltmarsh",
    "Skylark",
    "Stillwater",
    "Tallow Court",
    "Tern Island",
    "Three Mills",
    "Umber",
    "Vale & Co",
    "Warp & Weft",
    "Yarrow",
];

pub(super) const PRAISES: &[&str] = &[
    "Made in small batches",
    "Finished by hand",
    "Made to be repaired",
    "A shape that has not changed for decades",
    "Plain, and pleasant to hold",
    "Quiet in use and easy to clean",
    "Gets better with age",
    "Designed for small homes",
    "Comes in a plain cardboard box",
    "Our customers' favorite for presents",
];
