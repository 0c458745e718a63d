use super::*;

const ADS: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const APPLY: &str = "/weir.policy.v1.PolicyService/Apply";
const GET: &str = "/weir.policy.v1.PolicyService/Get";
const TOKEN: &str = "/weir.identity.v1.IdentityAdminService/CreateToken";
const EXCHANGE: &str = "/weir.identity.v1.IdentityService/Exchange";

fn known(path: &str) -> Peer {
    Peer::Known { id: format!("spiffe://td{path}").parse().unwrap(), not_after: 7 }
}

fn reason(entrance: Entrance, peer: &Peer, bearer: Option<Bearer>, path: &str) -> Option<Reason> {
    decide(entrance, peer, bearer, path).err().map(|refusal| refusal.reason)
}

#[test]
fn each_role_may_do_what_the_lesser_ones_may_and_no_more() {
    let calls =
        [(GET, Role::Viewer), (APPLY, Role::Editor), (TOKEN, Role::Admin), ("/a.New/Method", Role::Admin)];
    for role in Role::ALL {
        for (path, needed) in calls {
            let by_token = reason(Entrance::Policy, &Peer::Nobody, Some(Ok((role, "x".into()))), path);
            let by_certificate = reason(Entrance::Policy, &known(&format!("/operator/{role}/x")), None, path);
            let expected = (role < needed).then_some(Reason::Role);
            assert_eq!((by_token, by_certificate), (expected, expected), "{role} {path}");
        }
    }
}

#[test]
fn the_policy_door_is_closed_to_workloads_and_to_nobody() {
    for path in [GET, APPLY, TOKEN, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
        assert_eq!(reason(Entrance::Policy, &Peer::Nobody, None, path), Some(Reason::Credentials));
        assert_eq!(reason(Entrance::Policy, &known("/ns/a/sa/b"), None, path), Some(Reason::Role));
        assert_eq!(reason(Entrance::Policy, &known("/control-plane"), None, path), Some(Reason::Credentials));
    }
    assert_eq!(reason(Entrance::Policy, &Peer::Nobody, None, "/grpc.health.v1.Health/Check"), None);
}

#[test]
fn the_xds_door_is_for_workloads() {
    let status = "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus";
    let renew = "/weir.identity.v1.IdentityService/Renew";
    for path in [ADS, renew] {
        assert_eq!(reason(Entrance::Xds, &known("/ns/a/sa/b"), None, path), None);
        assert_eq!(reason(Entrance::Xds, &Peer::Nobody, None, path), Some(Reason::Credentials));
        assert_eq!(reason(Entrance::Xds, &known("/operator/admin/x"), None, path), Some(Reason::Role));
    }
    assert_eq!(reason(Entrance::Xds, &known("/ns/a/sa/b"), None, status), Some(Reason::Role));
    assert_eq!(reason(Entrance::Xds, &known("/operator/viewer/x"), None, status), None);
    assert_eq!(reason(Entrance::Xds, &Peer::Nobody, None, EXCHANGE), None);
    // Methods of the other door are not open here.
    assert_eq!(reason(Entrance::Xds, &known("/ns/a/sa/b"), None, APPLY), Some(Reason::Role));
    assert_eq!(reason(Entrance::Policy, &Peer::Nobody, None, EXCHANGE), Some(Reason::Credentials));
}

#[test]
fn plain_text_from_elsewhere_opens_nothing_whatever_is_shown() {
    let plain = Peer::Plain { trusted: false };
    for path in [GET, EXCHANGE, "/grpc.health.v1.Health/Check"] {
        for bearer in [None, Some(Ok((Role::Admin, "x".into())))] {
            assert_eq!(reason(Entrance::Policy, &plain, bearer, path), Some(Reason::Plaintext));
        }
    }
    assert_eq!(
        decide(Entrance::Policy, &Peer::Plain { trusted: true }, None, TOKEN).unwrap().who,
        Who::Trusted
    );
}

#[test]
fn a_token_that_is_shown_counts() {
    let viewer = Some(Ok((Role::Viewer, "x".into())));
    let trusted = Peer::Plain { trusted: true };
    assert_eq!(reason(Entrance::Policy, &trusted, viewer.clone(), APPLY), Some(Reason::Role));
    assert_eq!(reason(Entrance::Policy, &known("/operator/admin/x"), viewer, APPLY), Some(Reason::Role));
    let bad = Some(Err("no".to_owned()));
    assert_eq!(reason(Entrance::Policy, &trusted, bad, GET), Some(Reason::Token));
}

#[test]
fn a_certificate_vouches_no_longer_than_it_is_valid() {
    assert_eq!(decide(Entrance::Xds, &known("/ns/a/sa/b"), None, ADS).unwrap().until, Some(7));
    assert_eq!(decide(Entrance::Xds, &Peer::Nobody, None, EXCHANGE).unwrap().until, None);
}

#[test]
fn a_workload_asks_only_for_itself() {
    let who = decide(Entrance::Xds, &known("/ns/shop/sa/cart"), None, ADS).unwrap().who;
    let check = |namespace, account| {
        is_itself(&who, namespace, account, "default").map_err(|refusal| refusal.message)
    };
    check("shop", "cart").unwrap();
    check("shop", "default").unwrap();
    let error = check("bank", "cart").unwrap_err();
    assert!(error.contains("namespace bank") && error.contains("shop/cart"), "{error}");
    let error = check("shop", "admin").unwrap_err();
    assert!(error.contains("shop/admin") && error.contains("shop/cart"), "{error}");
    assert!(is_itself(&Who::Trusted, "any", "one", "default").is_ok());
    assert!(is_itself(&Who::Anonymous, "shop", "cart", "default").is_err());
}
