use super::*;

#[test]
fn the_line_that_says_where_a_program_listens_is_found_among_others() {
    let found = addresses(
        "weir-control-plane listening policy=127.0.0.1:15011 xds=[::1]:15010 admin=127.0.0.1:15014",
    )
    .unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found["policy"].port(), 15011);
    assert_eq!(found["xds"], "[::1]:15010".parse().unwrap());
    assert_eq!(addresses("listening"), None);
    assert_eq!(addresses("a program listening carefully"), None);
    assert_eq!(addresses("{\"level\":\"info\"}"), None);
}

#[test]
fn the_tail_of_a_log_is_its_last_lines_however_long_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    std::fs::write(&path, "").unwrap();
    assert_eq!(last_lines(&path).unwrap(), "");
    let text: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    std::fs::write(&path, text).unwrap();
    let tail = last_lines(&path).unwrap();
    assert_eq!(tail.lines().count(), TAIL_LINES);
    assert!(tail.ends_with("    line 99999\n"));
    std::fs::write(&path, vec![0xff; 10_000]).unwrap();
    assert_eq!(last_lines(&path).unwrap().lines().count(), 1);
    assert!(last_lines(&directory.path().join("b.log")).is_err());
}
