use super::*;

#[test]
fn durations_have_a_unit() {
    for (text, expected) in [("90s", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000)] {
        assert_eq!(seconds(text), Ok(expected));
    }
    for text in ["", "s", "5", "0s", "-1s", "1.5h", "1é", "99999999999999999999d", "18446744073709551615d"] {
        assert!(seconds(text).unwrap_err().contains("15m"), "{text}");
    }
}

#[test]
fn the_command_line_is_sound() {
    <Args as clap::CommandFactory>::command().debug_assert();
    let parse = |line: &str| Args::try_parse_from(line.split(' ')).is_ok();
    assert!(parse("weir token create --service-account a/b --ttl 5m"));
    assert!(parse("weir token create --role viewer --name x"));
    assert!(!parse("weir token create"));
    assert!(!parse("weir token create --role viewer"));
    assert!(!parse("weir token create --role root --name x"));
    assert!(!parse("weir token create --role viewer --name x --service-account a/b"));
    assert!(!parse("weir list --trust-pin nonsense"));
}
