use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_secret_is_written_closed_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    assert_eq!(read_secret(&path).unwrap(), None);
    for text in ["one", "two"] {
        write_secret(&path, text).unwrap();
        assert_eq!(read_secret(&path).unwrap().unwrap().as_str(), text);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 1, "something was left aside");
}

#[test]
fn a_secret_that_others_may_read_is_refused_with_its_mend() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write_secret(&path, "secret").unwrap();
    for mode in [0o640, 0o604, 0o610, 0o777] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = read_secret(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("{mode:04o}")) && error.contains("chmod 600"), "{error}");
        assert!(read_public(&path).is_ok());
    }
}

#[test]
fn what_is_no_file_or_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read_secret(dir.path()).is_err());
    let path = dir.path().join("large");
    write_secret(&path, &"x".repeat(BYTES as usize + 1)).unwrap();
    assert!(read_secret(&path).is_err());
    assert!(write_secret(&dir.path().join("not/there"), "x").is_err());
}

#[test]
fn a_new_directory_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    make_directory(&path).unwrap();
    make_directory(&path).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
}
