//! Good files are read as they are; bad ones are told from good ones, row by row.

use std::io::{self, Read, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// What a file gives: its rows as `line: cell|cell`, what was refused as `line: code`, and how it ended.
fn told(bytes: impl Into<Vec<u8>>) -> Vec<String> {
    told_of(io::Cursor::new(bytes.into()), Reading::default())
}

fn told_of(from: impl Read + Send + 'static, reading: Reading) -> Vec<String> {
    let mut told = Vec::new();
    let mut table = match Source::of(from, None).and_then(|source| Table::open(source, reading)) {
        Ok(table) => table,
        Err(stop) => return vec![format!("stop at {}: {}", stop.line, stop.code.as_str())],
    };
    loop {
        match table.next() {
            Ok(Some((line, Ok(cells)))) => told.push(format!("{line}: {}", cells.iter().collect::<Vec<_>>().join("|"))),
            Ok(Some((line, Err(why)))) => told.push(format!("{line}: {}", why.code.as_str())),
            Ok(None) => return told,
            Err(stop) => {
                told.push(format!("stop at {}: {}", stop.line, stop.code.as_str()));
                return told;
            }
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn good_files_give_their_cells_and_lines() {
    for (file, expected) in [
        ("sku,title\nA,Mug\nB,Bowl", &["2: A|Mug", "3: B|Bowl"][..]),
        ("sku;title\r\nA;Mug\r\n\r\nB;Bowl\r\n", &["2: A|Mug", "4: B|Bowl"]),
        ("sku\ttitle\rA\tMug\rB\tBowl\r", &["2: A|Mug", "3: B|Bowl"]),
        ("sku|title\nA|Mug, red\n", &["2: A|Mug, red"]),
        ("\u{FEFF}sku,title\nA,Mug\n", &["2: A|Mug"]),
        ("sep=;\r\nsku;title\r\nA;Mug\r\n", &["3: A|Mug"]),
        ("sep=;\rsku;title\rA;Mug\r", &["3: A|Mug"]),
        ("\n\nsku,title\nA,Mug\n", &["4: A|Mug"]),
        ("sku,title\nA,\"Mug, \"\"red\"\"\"\nB,5\" pot\n", &["2: A|Mug, \"red\"", "3: B|5\" pot"]),
        // A quoted cell over several lines: the next row has the line that an editor shows.
        ("sku,title\nA,\"one\ntwo\r\nthree\"\nB,Bowl\n", &["2: A|one\ntwo\r\nthree", "5: B|Bowl"]),
        ("\"sku\n(ours)\",title\nA,Mug\n", &["3: A|Mug"]),
        ("sku,title\n,\n , \nA,\"\"\n", &["4: A|"]),
        ("sku,title\nA,=SUM(1;2)\nB,@x\n", &["2: A|=SUM(1;2)", "3: B|@x"]),
        ("a,b;c,d\n1,2;3,4\n", &["2: 1|2;3|4"]),
        ("sku,title\n", &[]),
    ] {
        assert_eq!(told(file), expected, "{file:?}");
        assert_eq!(told(gzip(file.as_bytes())), expected, "packed: {file:?}");
    }
}

#[test]
fn bad_rows_are_refused_and_the_others_are_read() {
    for (file, expected) in [
        (&b"sku,title\nA\nB,Bowl,red\nC,Cup\n"[..], &["2: column_count", "3: column_count", "4: C|Cup"][..]),
        (b"sku,title\nA,Cr\xE8me\nB,Bowl\n", &["2: encoding", "3: B|Bowl"]),
        (b"sku,title\nA,Mu\0g\nB,Bowl\n", &["2: nul_byte", "3: B|Bowl"]),
        (b"sku,title\nA,\"Mug\" red\nB,Bowl\n", &["2: quote_misplaced", "3: B|Bowl"]),
        // An opened quote swallows rows up to the next quote: all of them are refused, none is guessed.
        (b"sku,title\nA,\"Mug\nB,Bowl\nC,\"Cup\"\nD,Dish\n", &["2: quote_misplaced", "5: D|Dish"]),
        (b"sku,title\nA,Mug\nB,\"Bowl\nC,Cup\n", &["2: A|Mug", "stop at 3: quote_not_closed"]),
    ] {
        assert_eq!(told(file), expected, "{:?}", String::from_utf8_lossy(file));
    }
    let told = told_of(&b"sku,title\nA,Cr\xE8me\n"[..], Reading { encoding: Encoding::Latin1, delimiter: None });
    assert_eq!(told, ["2: A|Crème"]);
}

#[test]
fn files_that_are_no_tables_are_told_so() {
    for (file, expected) in [
        (&b""[..], "stop at 0: header_missing"),
        (b"\n\n", "stop at 0: header_missing"),
        (&b"\r\n".repeat(1 << 20), "stop at 0: header_missing"),
        (&[&b"c,".repeat(2_001)[..], b"c\n"].concat(), "stop at 1: columns_too_many"),
        (b"sku title\nA Mug\n", "stop at 1: delimiter_unknown"),
        (b"sku:title\nA:Mug\n", "stop at 1: delimiter_unknown"),
        (b"PK\x03\x04rest of a workbook", "stop at 0: not_text"),
        (b"\xFF\xFEs\0k\0u\0", "stop at 0: not_text"),
        (b"s\0k\0u\0,\0", "stop at 1: not_text"),
        (b"sku,\"title\nA,Mug\n", "stop at 1: quote_not_closed"),
        (b"Gr\xF6\xDFe,Titel\n", "stop at 1: encoding"),
        (b"\x1F\x8B\x08 this is not gzip at all", "stop at 0: gzip_damaged"),
        (b"\x1F\x8B", "stop at 0: gzip_truncated"),
    ] {
        assert_eq!(told(file), [expected], "{:?}", String::from_utf8_lossy(file));
    }
    let semicolon = Reading { encoding: Encoding::Utf8, delimiter: Some(b';') };
    assert_eq!(told_of(&b"sku,title\nA,Mug\n"[..], semicolon), ["stop at 1: delimiter_unknown"]);
    // One column is right when somebody says so and no other delimiter would give more.
    assert_eq!(told_of(&b"sku\nA\n"[..], semicolon), ["2: A"]);
}

#[test]
fn of_a_file_that_breaks_off_whole_rows_are_read_and_no_half_one() {
    let rows: String = (0..5_000).map(|n| format!("SKU-{n},Title {} of {n}\n", n * 7919 % 5_003)).collect();
    let packed = gzip(format!("sku,title\n{rows}").as_bytes());
    let cut = told(&packed[..packed.len() / 2]);
    let (last, whole) = cut.split_last().unwrap();
    assert!(last.ends_with("gzip_truncated"), "{last}");
    assert!(whole.len() > 500, "{} rows", whole.len());
    for (at, row) in whole.iter().enumerate() {
        assert_eq!(*row, format!("{}: SKU-{at}|Title {} of {at}", at + 2, at * 7919 % 5_003));
    }
    let mut damaged = packed.clone();
    // The checksum at the end: everything was read, and it is not what was written.
    let at = damaged.len() - 6;
    damaged[at] ^= 1;
    let told = told(damaged);
    assert_eq!(told.len(), 5_001);
    assert!(told.last().unwrap().ends_with("gzip_damaged"), "{:?}", told.last());
}

/// A GiB of one letter, then a good row.
struct Endless {
    left: u64,
    tail: io::Cursor<&'static [u8]>,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return self.tail.read(into);
        }
        let length = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        into[..length].fill(b'x');
        self.left -= length as u64;
        Ok(length)
    }
}

#[test]
fn a_line_of_a_gib_is_refused_without_being_held() {
    let size = if cfg!(debug_assertions) { 64 << 20 } else { 1 << 30 };
    for head in ["sku,title\nA,", "sku,title\nA,\""] {
        let tail: &'static [u8] = if head.ends_with('"') { b"\"\nB,Bowl\n" } else { b"\nB,Bowl\n" };
        let body = Endless { left: size, tail: io::Cursor::new(tail) };
        let source = Source::of(head.as_bytes().chain(body), None).unwrap();
        let mut table = Table::open(source, Reading::default()).unwrap();
        let (line, row) = table.next().unwrap().unwrap();
        assert_eq!((line, row.unwrap_err().code), (2, Code::RowTooLong));
        let held = table.from.bytes.capacity() + table.text.capacity();
        assert!(held <= 2 * ROW_BYTES_MAX, "{held} bytes are held");
        let (line, row) = table.next().unwrap().unwrap();
        assert_eq!((line, row.unwrap().iter().collect::<Vec<_>>().join("|")), (3, "B|Bowl".to_owned()));
        assert!(table.next().unwrap().is_none());
    }
    // The same as lines of JSON, and as a file of one line.
    let body = Endless { left: size, tail: io::Cursor::new(b"\n{\"sku\":\"B\"}\n") };
    let mut lines = Lines::open(Source::of(body, None).unwrap());
    let (line, row) = lines.next().unwrap().unwrap();
    assert_eq!((line, row.unwrap_err().code), (1, Code::RowTooLong));
    assert!(lines.bytes.capacity() <= 2 * ROW_BYTES_MAX);
    let (line, row) = lines.next().unwrap().unwrap();
    assert_eq!((line, row.unwrap()["sku"].as_str()), (2, Some("B")));
    let body = Endless { left: size, tail: io::Cursor::new(b"") };
    assert_eq!(told_of(body, Reading::default()), ["stop at 1: row_too_long"]);
}

#[test]
fn lines_of_json_have_their_own_reasons() {
    let file = b"{\"sku\":\"A\"}\n\nnot json\n[1]\n{\"sku\":\"B\xE8\"}\r\n{\"sku\":\"C\"}";
    let mut lines = Lines::open(Source::of(&file[..], None).unwrap());
    let mut told = Vec::new();
    while let Some((line, row)) = lines.next().unwrap() {
        told.push((line, row.map(|row| row["sku"].to_string()).map_err(|why| why.code)));
    }
    let refused = |code| Err::<String, Code>(code);
    assert_eq!(
        told,
        [
            (1, Ok("\"A\"".to_owned())),
            (3, refused(Code::NotJson)),
            (4, refused(Code::NotJson)),
            (5, refused(Code::Encoding)),
            (6, Ok("\"C\"".to_owned())),
        ]
    );
}

/// Files of any cells, written by another's hand, are read as they were meant, in pieces of any size.
#[test]
fn what_the_csv_crate_writes_is_read() {
    let mut chance = fastrand::Rng::with_seed(4180);
    let alphabet = ["a", "B", "é", "\"", ",", ";", "\n", "\r\n", "'", " ", "=", "€", "0"];
    for round in 0..300 {
        let delimiter = DELIMITERS[chance.usize(..DELIMITERS.len())];
        let columns = chance.usize(2..6);
        let cell = |chance: &mut fastrand::Rng| -> String {
            (0..chance.usize(..6)).map(|_| alphabet[chance.usize(..alphabet.len())]).collect()
        };
        let rows: Vec<Vec<String>> =
            (0..chance.usize(1..20)).map(|_| (0..columns).map(|_| cell(&mut chance)).collect()).collect();
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        writer.write_record((0..columns).map(|n| format!("c{n}"))).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let bytes = writer.into_inner().unwrap();

        let pieces = io::BufReader::with_capacity(chance.usize(1..40), io::Cursor::new(bytes));
        let source = Source { bytes: Box::new(pieces), is_gzip: false, size: None, read: Default::default() };
        let mut table = Table::open(source, Reading { encoding: Encoding::Utf8, delimiter: Some(delimiter) }).unwrap();
        let kept = rows.iter().filter(|row| row.iter().any(|cell| !cell.trim().is_empty()));
        for row in kept {
            let (_, cells) = table.next().unwrap().unwrap();
            assert_eq!(cells.unwrap().iter().collect::<Vec<_>>(), *row, "round {round}");
        }
        assert!(table.next().unwrap().is_none(), "round {round}");
    }
}

#[test]
fn a_header_is_found_where_it_is() {
    for (file, expected) in [
        (&b"\n\r\nsep=;\n\nsku;title\nA;Mug\n"[..], "6: A|Mug"),
        (b"\r\rsep=;\rsku;title\rA;Mug\r", "5: A|Mug"),
        (b"  \nsku,title\r\nA,Mug", "3: A|Mug"),
    ] {
        assert_eq!(told(file), [expected], "{:?}", String::from_utf8_lossy(file));
    }
    // A quote within a cell is a letter, also in the header of a file that has no other for a MiB.
    let rows = "A,Mug,5\n".repeat(200_000);
    let told = told(format!("sku,title,Size \"\n{rows}").into_bytes());
    assert_eq!((told.len(), told[0].as_str()), (200_000, "2: A|Mug|5"));
}

#[test]
fn lines_in_utf_16_are_told_so() {
    let file: Vec<u8> = "{\"sku\":\"A\"}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let stop = Lines::open(Source::of(io::Cursor::new(file), None).unwrap()).next().unwrap_err();
    assert_eq!((stop.line, stop.code), (1, Code::NotText));
}

/// Tapes and disk images fill a file up with zeros.
#[test]
fn zeros_behind_a_compressed_file_are_no_damage() {
    let mut packed = [gzip(b"sku,title\nA,Mug\n"), gzip(b"B,Bowl\n")].concat();
    packed.extend([0; 3_000]);
    assert_eq!(told(packed.clone()), ["2: A|Mug", "3: B|Bowl"]);
    packed.push(b'x');
    assert!(told(packed).last().unwrap().contains("gzip_"));
}
