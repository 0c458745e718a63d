use super::*;
use weir_store::{Embedded, Options};

fn tokens(dir: &std::path::Path) -> Tokens {
    Tokens::new(Arc::new(Embedded::open(dir, Options::default()).unwrap()))
}

fn join() -> Grant {
    Grant::Join("shop/cart".parse().unwrap())
}

#[test]
fn a_use_outlives_the_process_and_so_does_the_refusal_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (token, ..) = tokens(dir.path()).create(join(), "alice", Some(200), 100).unwrap();
    let account = tokens(dir.path()).redeem(&token, [1; 32], 110).unwrap();
    assert_eq!(account.to_string(), "shop/cart");
    let again = tokens(dir.path());
    assert!(matches!(
        again.redeem(&token, [2; 32], 120),
        Err(TokensError::Refused(TokenError::Used { ago: 10 }))
    ));
    again.redeem(&token, [1; 32], 120).unwrap();
}

#[test]
fn of_many_uses_at_once_one_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = tokens(dir.path());
    let (token, ..) = tokens.create(join(), "alice", None, 100).unwrap();
    let given: Vec<bool> = std::thread::scope(|scope| {
        let uses = (0..8).map(|key| {
            let (tokens, token) = (&tokens, &token);
            scope.spawn(move || tokens.redeem(token, [key; 32], 110).is_ok())
        });
        let uses: Vec<_> = uses.collect();
        uses.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(given.iter().filter(|given| **given).count(), 1);
}

#[test]
fn what_is_on_the_disk_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (token, ..) = tokens(dir.path()).create(join(), "alice", None, 100).unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
    }
}

#[test]
fn a_bearer_is_known_until_the_end_or_revocation() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = tokens(dir.path());
    let grant = Grant::Api { role: Role::Editor, name: "ci".to_owned() };
    let (token, digest, record) = tokens.create(grant, "alice", Some(200), 100).unwrap();
    assert_eq!(tokens.list(), [(digest.clone(), record)]);
    assert_eq!(tokens.bearer(&token, 150), Ok((Role::Editor, "ci".to_owned())));
    assert_eq!(tokens.bearer(&token, 200), Err(TokenError::Expired { ago: 0 }));
    assert!(matches!(tokens.revoke("abc", 150), Err(TokensError::Id(_))));
    assert!(matches!(tokens.revoke("zzzzzzzz", 150), Err(TokensError::Id(_))));
    tokens.revoke(&digest[..ID], 150).unwrap();
    assert_eq!(tokens.bearer(&token, 150), Err(TokenError::Unknown));
    assert_eq!(tokens.bearer("nonsense", 150), Err(TokenError::Unknown));
}

#[test]
fn tokens_that_are_long_over_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = tokens(dir.path());
    tokens.create(join(), "alice", Some(200), 100).unwrap();
    tokens.create(join(), "alice", None, 100).unwrap();
    tokens.create(join(), "alice", Some(100_000), 50_000).unwrap();
    assert_eq!(tokens.list().len(), 2, "the first one expired long ago");
}

#[test]
fn records_are_read_back_as_they_were_written() {
    let used = Some(Use { at: 5, public: [7; 32] });
    let join = Record { grant: join(), created_by: "a".into(), created: 1, expires: Some(9), used };
    let api = Record {
        grant: Grant::Api { role: Role::Viewer, name: "x".into() },
        created_by: String::new(),
        created: 1,
        expires: None,
        used: None,
    };
    for record in [join, api] {
        assert_eq!(decode(&encode(&record)), Some(record));
    }
    for wrong in ["", "{}", r#"{"grant":{"join":"x"}}"#, r#"{"grant":{"api":{"role":"root","name":"x"}}}"#] {
        assert_eq!(decode(wrong.as_bytes()), None);
    }
}
