use super::*;
use http::{HeaderValue, StatusCode};
use weir_model::{Abort, Delay, Fraction, HeaderMatch, StringMatch};

fn compiled(model: weir_model::Fault) -> Fault {
    Fault::compile(&model, &mut FieldCompiler::default()).unwrap()
}

fn everything() -> weir_model::Fault {
    weir_model::Fault {
        headers: vec![],
        delay: Some(Delay { duration: Duration::from_secs(1), fraction: Fraction(1_000_000) }),
        abort: Some(Abort {
            answer: AbortAnswer::Http(StatusCode::IM_A_TEAPOT),
            fraction: Fraction(1_000_000),
        }),
    }
}

#[test]
fn only_requests_with_all_the_fields() {
    let field = |name: &str, value| HeaderMatch { name: name.parse().unwrap(), value };
    let headers =
        vec![field("x-fail", StringMatch::Present), field("x-user", StringMatch::Regex("a.*".to_owned()))];
    let fault = compiled(weir_model::Fault { headers, ..everything() });
    let mut random = Random::new(1);
    let mut request = HeaderMap::new();
    request.insert("x-fail", HeaderValue::from_static("1"));
    assert_eq!(fault.inject(&request, &mut random), Injected::default());
    request.insert("x-user", HeaderValue::from_static("anna"));
    let both = Injected {
        delay: Some(Duration::from_secs(1)),
        abort: Some(AbortAnswer::Http(StatusCode::IM_A_TEAPOT)),
    };
    assert_eq!(fault.inject(&request, &mut random), both);
}

#[test]
fn shares_of_each_are_drawn_independently() {
    let mut model = everything();
    model.delay.as_mut().unwrap().fraction = Fraction(500_000);
    model.abort.as_mut().unwrap().fraction = Fraction(500_000);
    let fault = compiled(model);
    let (mut random, headers) = (Random::new(5), HeaderMap::new());
    let mut counts = [0; 4];
    for _ in 0..10_000 {
        let Injected { delay, abort } = fault.inject(&headers, &mut random);
        counts[usize::from(delay.is_some()) * 2 + usize::from(abort.is_some())] += 1;
    }
    assert!(counts.iter().all(|count| (2_300..2_700).contains(count)), "{counts:?}");
}

#[test]
fn a_bad_expression_is_named() {
    let headers = vec![HeaderMatch { name: "x".parse().unwrap(), value: StringMatch::Regex("(".to_owned()) }];
    let model = weir_model::Fault { headers, ..everything() };
    let error = Fault::compile(&model, &mut FieldCompiler::default()).unwrap_err();
    assert_eq!(error.field, "headers[0]");
}
