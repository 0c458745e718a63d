use super::*;

fn join(expires: Option<u64>) -> Record {
    let grant = Grant::Join("shop/cart".parse().unwrap());
    Record { grant, created_by: "alice".to_owned(), created: 100, expires, used: None }
}

fn api(role: Role) -> Record {
    Record { grant: Grant::Api { role, name: "ci".to_owned() }, ..join(Some(200)) }
}

#[test]
fn a_token_is_random_and_kept_as_its_digest() {
    let one = generate(&join(None).grant).unwrap();
    let two = generate(&join(None).grant).unwrap();
    assert_ne!(*one, *two);
    let digest = digest(&one).unwrap();
    assert_eq!(digest.len(), 64);
    assert!(!digest.contains(one.strip_prefix(JOIN).unwrap()));
    assert!(generate(&api(Role::Viewer).grant).unwrap().starts_with(API));
}

#[test]
fn what_cannot_be_a_token_has_no_digest() {
    let secret = "a".repeat(64);
    for text in ["", "x", &secret, &format!("{JOIN}{}", "a".repeat(63)), &format!("{JOIN}{}", "A".repeat(64))]
    {
        assert_eq!(digest(text), None, "{text}");
    }
    assert!(digest(&format!("{API}{secret}")).is_some());
}

#[test]
fn a_join_token_opens_for_one_key() {
    let record = join(Some(200));
    let (account, redeemed) = record.redeem([1; 32], 150).unwrap();
    assert_eq!(account.to_string(), "shop/cart");
    let Redeemed::First(used) = redeemed else { panic!("it was never used before") };
    assert_eq!(used.redeem([2; 32], 160), Err(TokenError::Used { ago: 10 }));
    assert_eq!(used.redeem([1; 32], 160).unwrap().1, Redeemed::Again);
    assert_eq!(used.redeem([1; 32], 200), Err(TokenError::Expired { ago: 0 }), "the same key, too late");
}

#[test]
fn a_token_ends_when_it_says() {
    assert_eq!(join(Some(200)).redeem([1; 32], 210), Err(TokenError::Expired { ago: 10 }));
    assert!(join(None).redeem([1; 32], u64::MAX).is_ok());
    assert_eq!(api(Role::Admin).bearer(200), Err(TokenError::Expired { ago: 0 }));
    assert!(!join(Some(200)).forgotten(3700));
    assert!(join(Some(200)).forgotten(3801));
}

#[test]
fn each_kind_opens_its_own_door() {
    assert_eq!(api(Role::Editor).bearer(150), Ok((Role::Editor, "ci")));
    assert!(matches!(api(Role::Admin).redeem([1; 32], 150), Err(TokenError::Kind { .. })));
    assert!(matches!(join(None).bearer(150), Err(TokenError::Kind { .. })));
}
