use super::*;
use crate::Locality;
use crate::mesh::AppProtocol;

fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty()).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn service(selector: &str, ports: &[(&str, u16, TargetPort)]) -> Service {
    let ports = ports.iter().map(|(name, port, target)| ServicePort {
        name: (*name).to_owned(),
        port: *port,
        target: target.clone(),
        protocol: AppProtocol::Http,
    });
    Service { distribution: None, selector: labels(selector), ports: ports.collect() }
}

fn ports(ports: &[(&str, u16)]) -> Vec<WorkloadPort> {
    let port = |(name, number): &(&str, u16)| WorkloadPort {
        name: (*name).to_owned(),
        number: *number,
        address: ([10, 0, 0, 1], 1000 + *number).into(),
    };
    ports.iter().map(port).collect()
}

fn found<'w>(service: &Service, index: usize, ports: &'w [WorkloadPort]) -> Option<&'w str> {
    service.workload_port(&service.ports[index], ports).map(|port| port.name.as_str())
}

#[test]
fn a_selector_needs_all_of_its_labels_and_selects_nothing_if_empty() {
    let mut mesh = Mesh::default();
    for (namespace, name, carried) in [
        ("a", "one", "app=x,version=1"),
        ("a", "two", "app=x"),
        ("a", "three", "app=y,version=1"),
        ("b", "four", "app=x,version=1"),
    ] {
        let workload = Workload {
            labels: labels(carried),
            locality: Locality::default(),
            weight: 1,
            ports: Vec::new(),
            ready: true,
        };
        mesh.workloads.insert(Name::new(namespace, name), workload);
    }
    let selection = Selection::new(&mesh);
    let select = |selector: &str| -> Vec<&str> {
        let found = selection.of(&mesh, &Name::new("a", "service"), &service(selector, &[]));
        found.into_iter().map(|(name, _)| name.name.as_str()).collect()
    };
    assert_eq!(select("app=x"), ["one", "two"]);
    assert_eq!(select("app=x,version=1"), ["one"]);
    assert_eq!(select("version=1"), ["one", "three"]);
    assert_eq!(select("app=z"), [""; 0]);
    assert_eq!(select("app=x,missing=1"), [""; 0]);
    assert_eq!(select(""), [""; 0]);
}

#[test]
fn a_port_is_found_by_target_name_then_number_then_own_name_then_by_being_alone() {
    let number = TargetPort::Number;
    let named = |name: &str| TargetPort::Named(name.to_owned());
    let two = service("a=b", &[("http", 80, named("web")), ("grpc", 90, number(9090))]);
    assert_eq!(found(&two, 0, &ports(&[("http", 1), ("web", 2)])), Some("web"));
    assert_eq!(found(&two, 0, &ports(&[("http", 1), ("other", 2)])), Some("http"));
    assert_eq!(found(&two, 1, &ports(&[("grpc", 1), ("other", 9090)])), Some("other"));
    assert_eq!(found(&two, 1, &ports(&[("grpc", 1), ("other", 2)])), Some("grpc"));
    assert_eq!(found(&two, 1, &ports(&[("other", 2)])), None, "the service has two ports");
    let one = service("a=b", &[("", 80, number(80))]);
    assert_eq!(found(&one, 0, &ports(&[("other", 2)])), Some("other"));
    assert_eq!(found(&one, 0, &ports(&[("other", 2), ("more", 3)])), None);
    assert_eq!(found(&one, 0, &ports(&[("", 2), ("more", 3)])), None, "an empty name is no name");
}
