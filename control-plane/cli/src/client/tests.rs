use super::*;

#[test]
fn plain_text_to_another_machine_has_to_be_asked_for() {
    assert_eq!(url("127.0.0.1:1", false).unwrap(), "http://127.0.0.1:1");
    assert_eq!(url("[::1]:1", false).unwrap(), "http://[::1]:1");
    assert_eq!(url("http://weir:1", false).unwrap(), "http://weir:1");
    assert_eq!(url("weir:1", true).unwrap(), "https://weir:1");
    assert_eq!(url("http://weir:1", true).unwrap(), "http://weir:1");
    assert!(url("weir:1", false).unwrap_err().to_string().contains("http://weir:1"));
    assert!(url("https://weir:1", false).unwrap_err().to_string().contains("--trust-pin"));
}

#[test]
fn tokens_travel_over_tls_or_not_at_all() {
    for url in ["https://weir:1", "http://127.0.0.1:1", "http://[::1]:1/", "http://localhost:1"] {
        assert!(is_safe(url), "{url}");
    }
    for url in ["http://weir:1", "http://10.0.0.1:1", "http://localhost.example.org:1", "weir:1"] {
        assert!(!is_safe(url), "{url}");
    }
}

#[test]
fn a_token_that_others_can_read_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "weir-api-x\n").unwrap();
    let credentials = Credentials { token_file: Some(path.clone()), ..Credentials::default() };
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&path, open).unwrap();
    assert!(bearer(&credentials).err().unwrap().to_string().contains("chmod 600"));
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, closed).unwrap();
    assert_eq!(bearer(&credentials).unwrap().0.unwrap().to_str().unwrap(), "Bearer weir-api-x");
}
