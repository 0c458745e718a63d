use super::*;

#[test]
fn methods_of_one_label_share_a_key() {
    let methods =
        ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "BREW", "get"];
    let methods: Vec<Method> = methods.iter().map(|name| name.parse().unwrap()).collect();
    for one in &methods {
        for other in &methods {
            assert_eq!(
                method_index(one) == method_index(other),
                method_name(one) == method_name(other),
                "{one} {other}"
            );
        }
    }
}

#[test]
fn grpc_codes_have_names() {
    assert_eq!(
        [grpc_name(0), grpc_name(4), grpc_name(14), grpc_name(16)],
        ["OK", "DEADLINE_EXCEEDED", "UNAVAILABLE", "UNAUTHENTICATED"]
    );
    assert_eq!(grpc_name(17), "_OTHER");
}
