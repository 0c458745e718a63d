//! The roots of a mesh, and operators' certificates.

use super::is_data;
use crate::args::{Format, IdentityCommand, Step};
use crate::client::{IdentityClient, told};
use crate::output;
use anyhow::Context;
use owo_colors::OwoColorize;
use std::process::ExitCode;
use std::sync::Arc;
use weir_identity::{Identity, PrivateKey, file};
use weir_proto::identity::v1 as wire;
use weir_proto::identity::v1::rotate_root_request::Step as WireStep;

pub(crate) async fn run(
    client: &mut IdentityClient,
    command: IdentityCommand,
    format: Format,
) -> anyhow::Result<ExitCode> {
    match command {
        IdentityCommand::Show => show(&authority(client).await?, format)?,
        IdentityCommand::Bundle => {
            let authority = authority(client).await?;
            let roots: String = authority.roots.iter().map(|root| root.certificate.as_str()).collect();
            output::print(&roots);
        }
        IdentityCommand::Operator { name, role, out } => {
            let key = Arc::new(PrivateKey::generate()?);
            let request = key.request(None)?;
            let request = wire::IssueOperatorRequest { role: role.to_string(), name, request };
            let answer = client.issue_operator(request).await.map_err(|status| told(&status))?.into_inner();
            let bundle = answer.bundle.clone().context("the answer has no bundle")?;
            let chain = answer.chain.clone();
            let identity = Identity::from_answer(key, chain, &bundle.trust_domain, bundle.roots)?;
            file::write_secret(&out, &identity.to_pem())?;
            if is_data(format) {
                let told = serde_json::json!({
                    "spiffeId": answer.spiffe_id, "file": out.display().to_string(), "notAfter": identity.leaf().not_after,
                });
                output::data(&told, format)?;
            } else {
                output::print(&format!("{} is in {}\n", answer.spiffe_id.bold(), out.display()));
            }
        }
        IdentityCommand::Rotate { step, force } => {
            let step = match step {
                Step::Prepare => WireStep::Prepare,
                Step::Activate => WireStep::Activate,
                Step::Retire => WireStep::Retire,
            };
            let request = wire::RotateRootRequest { step: step.into(), force };
            let answer = client.rotate_root(request).await.map_err(|status| told(&status))?;
            show(&answer.into_inner(), format)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn authority(client: &mut IdentityClient) -> anyhow::Result<wire::Authority> {
    let answer = client.get_authority(wire::GetAuthorityRequest {}).await;
    Ok(answer.map_err(|status| told(&status))?.into_inner())
}

fn show(authority: &wire::Authority, format: Format) -> anyhow::Result<()> {
    if is_data(format) {
        return output::data(&output::value_of("weir.identity.v1.Authority", authority)?, format);
    }
    let whose = if authority.external {
        "an authority from outside signs"
    } else {
        "it signs with a root of its own"
    };
    output::print(&format!(
        "trust domain {}; {whose}; certificates last {} s\n\n",
        authority.trust_domain.bold(),
        authority.leaf_seconds
    ));
    let rows = authority
        .roots
        .iter()
        .map(|root| vec![root.pin.clone(), root.state.clone(), root.since.clone(), root.not_after.clone()]);
    output::print(&output::table(&["PIN", "STATE", "SINCE", "NOT AFTER"], rows.collect()));
    Ok(())
}
