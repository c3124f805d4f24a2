//! Files become numbered rows: each once, in their order, in requests of a bounded size.

use super::*;

fn opened(kind: JobKind, file: &str, format: Format, wishes: Wishes) -> Input {
    let source = Source::of(std::io::Cursor::new(file.to_owned()), None).unwrap();
    Input::open(kind, source, format, Reading::default(), wishes).unwrap()
}

fn pieces(input: Input, purpose: &Purpose) -> Vec<Piece> {
    let mut pieces = Vec::new();
    run(input, purpose, |piece| {
        pieces.push(piece);
        true
    });
    pieces
}

const NEW: Purpose = Purpose::Job { through: 0, refused: BTreeMap::new() };

/// The lines that are sent, and what was counted.
fn sent(input: Input) -> (Vec<String>, Tally) {
    let mut lines = Vec::new();
    for piece in pieces(input, &NEW) {
        match piece {
            Piece::Batch(batch) => {
                lines.extend(String::from_utf8(batch.body).unwrap().lines().map(str::to_owned));
            }
            Piece::End(None, tally) => return (lines, tally),
            other => panic!("{other:?}"),
        }
    }
    panic!("no end");
}

#[test]
fn rows_are_numbered_without_gaps_and_what_repeats_is_counted() {
    let file = "sku,title\n85123a,Mug \n\n85123A,Mug\nonly one cell\n85123a,Mug\n,nothing\nC1,left out\n85123a,\n";
    let wishes = Wishes { skips: vec![("sku".to_owned(), "C*".to_owned())], ..Wishes::default() };
    let (lines, tally) = sent(opened(JobKind::ImportProducts, file, Format::Csv, wishes));
    assert_eq!(
        lines,
        [
            r#"{"line":1,"product":{"title":"Mug","variants":[{"sku":"85123a"}]}}"#,
            r#"{"line":2,"product":{"title":"Mug","variants":[{"sku":"85123A"}]}}"#,
            r#"{"line":3,"refused":{"code":"column_count","detail":"the row has 1 cells, the header 2"}}"#,
            r#"{"line":4,"product":{"title":"Mug","variants":[{"sku":"85123a"}]}}"#,
            r#"{"line":5,"refused":{"code":"sku_missing","detail":"the row has no SKU"}}"#,
            r#"{"line":6,"product":{"variants":[{"sku":"85123a"}]}}"#,
        ]
    );
    assert_eq!((tally.rows, tally.skus, tally.repeated, tally.twins, tally.trimmed), (7, 2, 2, 1, 1));
    assert_eq!(tally.twins_first, ["85123A"]);
    assert_eq!(tally.skipped, BTreeMap::from([("sku=C*".to_owned(), 1)]));
}

#[test]
fn requests_are_bounded_and_hold_each_row_once() {
    let long = "x".repeat(700);
    let rows: String = (1..=2_345).map(|n| format!("SKU-{n},{long}\n")).collect();
    for (file, rows_at_most) in
        [(format!("sku,title\n{rows}"), 200), (format!("sku,title\n{}", rows.replace(&long, "y")), 500)]
    {
        let mut next = 1;
        for piece in pieces(opened(JobKind::ImportProducts, &file, Format::Csv, Wishes::default()), &NEW) {
            let Piece::Batch(batch) = piece else { continue };
            assert!(batch.rows.len() <= rows_at_most && batch.body.len() <= BATCH_BYTES_MAX + 1_000);
            assert_eq!(batch.body.iter().filter(|byte| **byte == b'\n').count(), batch.rows.len());
            for row in batch.rows {
                assert_eq!((row.number, row.line), (next, next + 1));
                next += 1;
            }
        }
        assert_eq!(next, 2_346);
    }
}

#[test]
fn a_row_too_large_for_a_request_is_refused_and_one_that_just_fits_goes_alone() {
    let file = format!("sku,title\nA,a\nB,{}\nC,{}\nD,d\n", "b".repeat(200_000), "c".repeat(300_000));
    let batches: Vec<Vec<u64>> = pieces(opened(JobKind::ImportProducts, &file, Format::Csv, Wishes::default()), &NEW)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Batch(batch) => Some(batch.rows.iter().map(|row| row.number).collect()),
            _ => None,
        })
        .collect();
    assert_eq!(batches, [vec![1], vec![2], vec![3, 4]]);
    let (lines, _) = sent(opened(JobKind::ImportProducts, &file, Format::Csv, Wishes::default()));
    assert!(lines[2].contains("row_too_large"), "{}", lines[2]);
}

#[test]
fn going_on_begins_behind_the_last_row_that_was_done() {
    let file = "sku,title\nA,a\nB\nC,c\nD,d\nC,e\n";
    let answer = |line, code: &str| RowAnswer {
        line,
        id: None,
        outcome: kontor_api::job::RowOutcome::Refused,
        code: Some(code.to_owned()),
        detail: None,
        changes: Vec::new(),
    };
    let refused = BTreeMap::from([(2, answer(2, "column_count")), (3, answer(3, "title_missing"))]);
    let purpose = Purpose::Job { through: 3, refused };
    let mut told = Vec::new();
    for piece in pieces(opened(JobKind::ImportProducts, file, Format::Csv, Wishes::default()), &purpose) {
        told.push(match piece {
            Piece::Told(row, answer) => format!("told {} on line {}: {}", row.number, row.line, answer.code.unwrap()),
            Piece::Batch(batch) => {
                format!("{:?}", batch.rows.iter().map(|row| row.number).collect::<Vec<_>>())
            }
            Piece::End(stop, tally) => format!("end {stop:?} {} {}", tally.rows, tally.repeated),
        });
    }
    assert_eq!(told, ["told 2 on line 3: column_count", "told 3 on line 4: title_missing", "[4, 5]", "end None 5 1"]);
}

#[test]
fn what_was_read_before_damage_is_sent() {
    let file = "sku,title\nA,a\nB,\"b\n";
    let pieces = pieces(opened(JobKind::ImportProducts, file, Format::Csv, Wishes::default()), &NEW);
    let [Piece::Batch(batch), Piece::End(Some(stop), tally)] = pieces.as_slice() else { panic!("{pieces:?}") };
    assert_eq!((batch.rows.len(), stop.line, stop.code, tally.rows), (1, 3, Code::QuoteNotClosed, 1));
}

#[test]
fn lines_of_json_are_products_or_rows() {
    let file = concat!(
        r#"{"id":"P","title":"Mug","variants":[{"sku":"A"}],"revision":3,"created_at":"x","updated_at":"y"}"#,
        "\n",
        r#"{"sku":"B","title":"Bowl","price":2.5,"currency":"GBP","categories":["Kitchen"],"brand":null}"#,
        "\n",
        r#"{"sku":"C","titel":"Cup"}"#,
        "\n",
        r#"{"title":"Dish"}"#,
        "\n",
        r#"{"sku":"E","attributes":{"a":1}}"#,
        "\n",
    );
    let (lines, tally) = sent(opened(JobKind::ImportProducts, file, Format::Ndjson, Wishes::default()));
    assert_eq!(
        lines,
        [
            r#"{"line":1,"product":{"id":"P","title":"Mug","variants":[{"sku":"A"}]}}"#,
            r#"{"line":2,"product":{"categories":["Kitchen"],"title":"Bowl","variants":[{"prices":[{"amount":"2.50","currency":"GBP"}],"sku":"B"}]}}"#,
            r#"{"line":3,"refused":{"code":"column_unknown","detail":"\"titel\" is no field"}}"#,
            r#"{"line":4,"refused":{"code":"column_unknown","detail":"no column is the SKU; say which: --map sku=COLUMN (columns: title)"}}"#,
            r#"{"line":5,"product":{"attributes":{"a":1},"variants":[{"sku":"E"}]}}"#,
        ]
    );
    assert_eq!(tally.rows, 5);
    let (lines, _) = sent(opened(
        JobKind::ImportCounts,
        r#"{"sku":"A","location":"shop","on_hand":7}"#,
        Format::Ndjson,
        Wishes::default(),
    ));
    assert_eq!(lines, [r#"{"line":1,"stock":{"location":"shop","quantity":7,"sku":"A"}}"#]);
}

#[test]
fn a_dry_run_sends_what_can_be_read_and_knows_what_rows_before_would_have_made() {
    let file = "sku,title\nA,\nA,a\nB\nA,\n";
    let mut told = Vec::new();
    for piece in pieces(opened(JobKind::ImportProducts, file, Format::Csv, Wishes::default()), &Purpose::DryRun) {
        match piece {
            Piece::Told(row, answer) => told.push(format!("{}: {}", row.line, answer.code.unwrap())),
            Piece::Batch(batch) => {
                let known = batch.rows.iter().map(|row| format!("{}: {}", row.line, row.is_made_before));
                told.extend(known);
                told.push(String::from_utf8(batch.body).unwrap());
            }
            Piece::End(..) => {}
        }
    }
    let line = |title| format!("{{{title}\"variants\":[{{\"sku\":\"A\"}}]}}\n");
    let body = line("") + &line("\"title\":\"a\",") + &line("");
    assert_eq!(told, ["4: column_count", "2: false", "3: false", "5: true", &body]);
}

#[test]
fn a_product_is_made_by_any_row_that_names_it() {
    let file = concat!(
        "id,sku,title\nP,P-A,Mug\nP,P-B,\n,P-B,\nP,,\nQ,Q-A,\nQ,Q-A,Bowl\nQ,Q-B,\n",
        ",R,Dish\nR,R-B,\nS,S,Cup\nS,S-B,\nT,T-B,\n"
    );
    let mut made = Vec::new();
    for piece in pieces(opened(JobKind::ImportProducts, file, Format::Csv, Wishes::default()), &Purpose::DryRun) {
        match piece {
            Piece::Batch(batch) => made.extend(batch.rows.iter().filter(|row| row.is_made_before).map(|row| row.line)),
            Piece::End(_, tally) => assert_eq!((tally.skus, tally.repeated), (9, 2)),
            Piece::Told(..) => {}
        }
    }
    assert_eq!(made, [3, 4, 5, 8, 10, 12]);
}

#[test]
fn a_row_that_is_rejected_keeps_its_name() {
    let file = "id,sku,title,price.EUR\n,A,Mug,dear\nP,,Mug,1\n,,Mug,1\n";
    let mut names = Vec::new();
    for piece in pieces(opened(JobKind::ImportProducts, file, Format::Csv, Wishes::default()), &NEW) {
        let Piece::Batch(batch) = piece else { continue };
        names.extend(batch.rows.into_iter().map(|row| row.name));
    }
    assert_eq!(names, ["A", "P", ""]);
}

#[test]
fn levels_as_they_are_exported_are_counts() {
    let file = r#"{"sku":"A","location":"shop","on_hand":7,"unavailable":1,"safety_stock":2}"#;
    let (lines, _) = sent(opened(JobKind::ImportCounts, file, Format::Ndjson, Wishes::default()));
    assert_eq!(lines, [r#"{"line":1,"stock":{"location":"shop","quantity":7,"sku":"A"}}"#]);
    let (lines, _) =
        sent(opened(JobKind::ImportProducts, r#"{"sku":"A","titel":"Mug"}"#, Format::Ndjson, Wishes::default()));
    assert!(lines[0].contains("column_unknown"), "{}", lines[0]);
}
