use super::*;
use http_body_util::BodyExt;

async fn get(path: &str, method: Method) -> (StatusCode, String) {
    let dir = tempfile::tempdir().unwrap();
    let store = weir_store::Embedded::open(dir.path(), weir_store::Options::default()).unwrap();
    let plane = Plane::new(Arc::new(store), None).unwrap();
    let request = Request::builder().method(method).uri(path).body(()).unwrap();
    let response = answer(&plane, &request);
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn probes_and_scrapers_are_answered_and_nothing_else() {
    assert_eq!(get("/ready", Method::GET).await, (StatusCode::OK, "ready at revision 0\n".to_owned()));
    assert_eq!(get("/live", Method::GET).await.0, StatusCode::OK);
    assert_eq!(get("/nothing", Method::GET).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get("/ready", Method::POST).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let (_, metrics) = get("/metrics", Method::GET).await;
    assert!(metrics.contains("\nweir_sidecars_connected 0\n"), "{metrics}");
}
