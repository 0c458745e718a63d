//! Tokens.

use super::is_data;
use crate::args::{Format, TokenCommand};
use crate::client::{IdentityClient, told};
use crate::output;
use owo_colors::OwoColorize;
use std::process::ExitCode;
use weir_proto::identity::v1 as wire;
use weir_proto::identity::v1::create_token_request::Grant;

pub(crate) async fn run(
    client: &mut IdentityClient,
    command: TokenCommand,
    format: Format,
) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Create { service_account, role, name, ttl } => {
            let grant = match (service_account, role) {
                (Some(account), _) => Grant::ServiceAccount(account),
                (None, role) => Grant::Api(wire::ApiGrant {
                    role: role.map(|role| role.to_string()).unwrap_or_default(),
                    name: name.unwrap_or_default(),
                }),
            };
            let request = wire::CreateTokenRequest { grant: Some(grant), ttl_seconds: ttl };
            let answer = client.create_token(request).await.map_err(|status| told(&status))?.into_inner();
            if is_data(format) {
                output::data(&output::value_of("weir.identity.v1.CreateTokenResponse", &answer)?, format)?;
            } else {
                let about = answer.about.unwrap_or_default();
                output::print(&format!(
                    "{}\n\nid         {}\nfor        {}\nexpires    {}\ntrust pin  {}\n\nIt is shown only now. Keep it in a file that only its \
                     bearer can read.\n",
                    answer.token.bold(),
                    about.id,
                    whom(&about),
                    about.expires,
                    answer.trust_pin
                ));
            }
        }
        TokenCommand::List => {
            let answer = client.list_tokens(wire::ListTokensRequest {}).await;
            let answer = answer.map_err(|status| told(&status))?.into_inner();
            if is_data(format) {
                output::data(&output::value_of("weir.identity.v1.ListTokensResponse", &answer)?, format)?;
            } else {
                let rows = answer.tokens.iter().map(|token| {
                    let or = |text: &str, other: &str| if text.is_empty() { other } else { text }.to_owned();
                    vec![
                        token.id.clone(),
                        whom(token),
                        or(&token.expires, "never"),
                        or(&token.used, if token.service_account.is_empty() { "-" } else { "not yet" }),
                        token.created.clone(),
                        token.created_by.clone(),
                    ]
                });
                let head = ["ID", "FOR", "EXPIRES", "USED", "CREATED", "BY"];
                output::print(&output::table(&head, rows.collect()));
            }
        }
        TokenCommand::Revoke { id } => {
            let answer = client.revoke_token(wire::RevokeTokenRequest { id }).await;
            let answer = answer.map_err(|status| told(&status))?.into_inner();
            if is_data(format) {
                output::data(&output::value_of("weir.identity.v1.RevokeTokenResponse", &answer)?, format)?;
            } else {
                let revoked = answer.revoked.unwrap_or_default();
                output::print(&format!("{} for {} {}\n", revoked.id, whom(&revoked), "revoked".red()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn whom(token: &wire::Token) -> String {
    match token.service_account.as_str() {
        "" => format!("{} ({})", token.name, token.role),
        account => account.to_owned(),
    }
}
