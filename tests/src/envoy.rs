//! A stock Envoy, started as its documentation has it for aggregated discovery.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::peer;

/// What of Envoy's bootstrap differs between tests.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap<'a> {
    /// Where the control plane is.
    pub xds: SocketAddr,
    /// `GRPC` or `DELTA_GRPC`.
    pub api: &'a str,
    /// The node, as YAML on one line.
    pub node: &'a str,
    /// Further fields, as lines of YAML.
    pub more: &'a str,
}

impl Bootstrap<'_> {
    /// The command that starts it with one worker, its bootstrap in `dir` under `name`.
    pub fn command(&self, dir: &Path, name: &str) -> Command {
        let file = dir.join(format!("{name}.yaml"));
        std::fs::write(&file, self.yaml()).unwrap();
        let mut command = Command::new(peer("envoy"));
        command.arg("-c").arg(file).args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"]);
        command
    }

    fn yaml(&self) -> String {
        let Self { xds, api, node, more } = self;
        let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let address = format!("{{address: {}, port_value: {}}}", xds.ip(), xds.port());
        format!(
            "node: {node}
{more}dynamic_resources:
  ads_config:
    api_type: {api}
    transport_api_version: V3
    grpc_services: [{{envoy_grpc: {{cluster_name: xds}}}}]
  lds_config: {{ads: {{}}, resource_api_version: V3}}
  cds_config: {{ads: {{}}, resource_api_version: V3}}
static_resources:
  clusters:
  - name: xds
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: xds
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {address}}}}}}}]}}]
    typed_extension_protocol_options:
      {options}:
        \"@type\": type.googleapis.com/{options}
        explicit_http_config: {{http2_protocol_options: {{}}}}
"
        )
    }
}
