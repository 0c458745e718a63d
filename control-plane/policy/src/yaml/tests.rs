use super::*;
use weir_model::Severity;

fn read(text: &str) -> (Vec<String>, Vec<String>) {
    let (objects, found) = parse_yaml(text);
    (
        objects.iter().map(|object| object.id.to_string()).collect(),
        found.iter().map(ToString::to_string).collect(),
    )
}

fn refused(text: &str) -> String {
    let (objects, found) = parse_yaml(text);
    assert!(objects.is_empty() || found.iter().any(|found| found.severity == Severity::Error), "{objects:?}");
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].to_string()
}

const WORKLOAD: &str = "apiVersion: weir.dev/v1\nkind: Workload\nmetadata: {name: a}\nspec: {address: 10.0.0.1, ports: {http: 80}}\n";

#[test]
fn documents_are_read_one_by_one_and_empty_ones_are_none() {
    let text = format!("# nothing\n---\n{WORKLOAD}---\n---\n{}", WORKLOAD.replace("name: a", "name: b"));
    assert_eq!(read(&text), (vec!["Workload default/a".to_owned(), "Workload default/b".to_owned()], vec![]));
    assert_eq!(read(""), (vec![], vec![]));
    assert_eq!(read("---\n# a comment\n...\n"), (vec![], vec![]));
}

#[test]
fn a_wrong_document_does_not_hide_the_others() {
    let text = format!(
        "kind: Nothing\n---\n{WORKLOAD}---\na: 1\na: 2\n---\n{}",
        WORKLOAD.replace("http: 80", "http: x")
    );
    let (objects, found) = read(&text);
    assert_eq!(objects, ["Workload default/a"]);
    let told = |start: &str| found.iter().any(|line| line.starts_with(start));
    assert!(told("error: document 1: kind: there is no kind \"Nothing\" here"), "{found:#?}");
    assert!(
        told("error: document 3: line 9, column 1: the field \"a\" is there twice (remove one)"),
        "{found:#?}"
    );
    assert!(
        told("error: Workload default/a: spec.ports.http: expected an integer from 1 to 65535, found \"x\""),
        "{found:#?}"
    );
}

#[test]
fn syntax_errors_tell_the_line() {
    let found = refused("kind: Service\nspec: {a: [1, 2}\n");
    assert!(found.starts_with("error: document 1: line 2, column "), "{found}");
    for text in ["\t- a", "a: b: c", "'", "{", "&a *b", "%YAML 9.9", "\u{0}"] {
        let (objects, found) = parse_yaml(text);
        assert!(
            objects.is_empty() && found.iter().any(|found| found.severity == Severity::Error),
            "{text:?}: {found:?}"
        );
    }
}

#[test]
fn json_is_yaml() {
    let text = r#"{"apiVersion": "weir.dev/v1", "kind": "Workload", "metadata": {"name": "a"}, "spec": {"address": "10.0.0.1", "ports": {"http": 80}}}"#;
    assert_eq!(read(text).0, ["Workload default/a"]);
}

#[test]
fn words_stay_words() {
    // `on` is a boolean in YAML 1.1, and a field of ours.
    let text = "apiVersion: weir.dev/v1\nkind: TrafficPolicy\nmetadata: {name: on, labels: {a: \"yes\", b: v1.0, c: 1e}}\n\
                spec:\n  targetRefs: [{kind: Service, name: n}]\n  retries:\n    on: [reset, 503]\n";
    let (objects, found) = parse_yaml(text);
    assert_eq!(found, []);
    assert_eq!(objects[0].metadata.labels["b"], "v1.0");
    let written = to_yaml(&objects);
    assert_eq!(parse_yaml(&written), (objects, vec![]), "{written}");
}

#[test]
fn a_number_where_text_belongs_is_told_how_to_quote_itself() {
    let found = refused(&WORKLOAD.replace("{name: a}", "{name: a, labels: {version: 1.0}}"));
    assert!(
        found.contains("metadata.labels.version: expected text, found 1.0 (put it in quotes: \"1.0\")"),
        "{found}"
    );
}

#[test]
fn a_list_stands_for_its_items() {
    let item = r#"{"apiVersion": "weir.dev/v1", "kind": "Workload", "metadata": {"name": "a"}, "spec": {"address": "10.0.0.1", "ports": {"http": 80}}}"#;
    let (objects, found) =
        read(&format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{item}, {{"kind": "X"}}]}}"#));
    assert_eq!(objects, ["Workload default/a"]);
    assert!(found[0].starts_with("error: document 1 items[1]: "), "{found:?}");
}

#[test]
fn the_same_object_twice_is_refused() {
    let found = refused(&format!("{WORKLOAD}---\n{WORKLOAD}"));
    assert_eq!(
        found,
        "error: Workload default/a: metadata.name: it is there twice: document 1 and document 2 (remove one, or give it another name)"
    );
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let found = refused(&format!("# {}\n", "x".repeat(10 * 1024 * 1024)));
    assert_eq!(
        found,
        "error: manifest: 10485763 bytes, at most 4194304 are read at once (split it into several)"
    );
}

#[test]
fn bombs_do_not_go_off() {
    let mut laughs = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for letter in 'b'..='i' {
        let before = char::from(letter as u8 - 1);
        laughs += &format!("{letter}: &{letter} [{}]\n", vec![format!("*{before}"); 9].join(", "));
    }
    assert!(refused(&laughs).contains("its aliases unfold to too much"));
    let deep = format!("a: {}{}", "[".repeat(65), "]".repeat(65));
    assert!(refused(&deep).contains("nested deeper than 64 levels"), "in brackets");
    let deep: String = (0..70).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(refused(&deep).contains("nested deeper than 64 levels"), "by indentation");
    let flat = format!("a: [{}1]", "1,".repeat(2_000_000));
    assert!(refused(&flat).contains("the document is too large"));
    let deep_json = format!("{{\"kind\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refused(&deep_json).starts_with("error: document 1: "), "much depth");
}

#[test]
fn many_documents_with_many_mistakes_have_a_bounded_answer() {
    let text = "kind: X\n---\n".repeat(5000);
    let (objects, found) = parse_yaml(&text);
    assert!(objects.is_empty());
    assert_eq!(found.len(), weir_model::limits::DIAGNOSTICS + 1);
    let last = found.last().unwrap();
    assert!(last.message.starts_with("there are ") && last.severity == Severity::Error, "{last}");
    let list = format!("kind: List\nitems: [{}]", "{kind: X}, ".repeat(5000));
    assert_eq!(parse_yaml(&list).1.len(), weir_model::limits::DIAGNOSTICS + 1);
    let wide =
        format!("kind: Service\n{}", (0..200_000).map(|index| format!("a{index}: 1\n")).collect::<String>());
    assert_eq!(parse_yaml(&wide).1.len(), weir_model::limits::DIAGNOSTICS + 1);
}

#[test]
fn what_was_written_is_a_page_a_person_reads() {
    let (objects, _) = parse_yaml(WORKLOAD);
    assert_eq!(
        to_yaml(&objects),
        "apiVersion: weir.dev/v1\nkind: Workload\nmetadata:\n  name: a\n  namespace: default\nspec:\n  address: \"10.0.0.1\"\n  ports:\n    http: 80\n  weight: 1\n"
    );
    let both = to_yaml([&objects[0], &objects[0]]);
    assert_eq!(both.matches("---\n").count(), 1);
}
