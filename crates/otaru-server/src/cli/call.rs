//! `otaru call`: one signed call to a running server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Parser, ValueEnum};
use serde::Deserialize;

use super::client::{Client, Endpoint};
use crate::clock::Clock;
use crate::random::Random;
use crate::rpc::client::{Credentials, Signing};
use crate::rpc::gateway::Format;
use crate::rpc::op::{self, Op};
use crate::rpc::request::{Kind, ParamRow};

/// Call an operation of the cloud API and print the reply.
///
/// Parameters follow the operation as `--Name value`; elements of a list as `--Name.1 value` or by repeating
/// `--Name value`. Without flags, address and key come from the environment or from the data folder of a server on
/// this machine.
#[derive(Debug, Args)]
pub struct CallArgs {
    #[command(flatten)]
    options: Options,
    /// Operation, such as `ListOTAJobByDevice`
    action: String,
    /// Parameters of the operation
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--PARAM VALUE")]
    params: Vec<String>,
}

#[derive(Debug, Args)]
struct Options {
    /// Address of the server
    #[arg(long, env = "OTARU_ENDPOINT", value_name = "http://HOST:PORT")]
    endpoint: Option<String>,
    /// Access key that signs the call
    #[arg(long, env = "OTARU_ACCESS_KEY_ID", value_name = "ID")]
    access_key_id: Option<String>,
    /// Secret of the access key
    #[arg(long, env = "OTARU_ACCESS_KEY_SECRET", value_name = "SECRET", hide_env_values = true)]
    access_key_secret: Option<String>,
    /// Token of a temporary access key
    #[arg(long, env = "OTARU_SECURITY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    security_token: Option<String>,
    /// Data folder of a server on this machine, for what is not given otherwise
    #[arg(long, env = "OTARU_DATA", value_name = "DIR", default_value = "otaru-data")]
    data: PathBuf,
    /// Format of the reply
    #[arg(long, value_enum, default_value_t = ReplyFormat::Json)]
    format: ReplyFormat,
    /// Sign with version 1.0 (HMAC-SHA1) instead of ACS3-HMAC-SHA256
    #[arg(long)]
    v1: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReplyFormat {
    Json,
    Xml,
}

/// Options that stand between or after the parameters.
#[derive(Debug, Parser)]
#[command(name = "otaru call", no_binary_name = true)]
struct LateOptions {
    #[command(flatten)]
    options: Options,
}

/// Runs the command. Prints the reply to stdout; of a refused call also code and message to stderr.
///
/// # Errors
/// A sentence when the call could not be made.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]
pub async fn run(mut args: CallArgs) -> anyhow::Result<ExitCode> {
    let (params, late) = split(std::mem::take(&mut args.params))?;
    if !late.is_empty() {
        // The options before the operation stand unless they are said again behind it.
        use clap::{CommandFactory, FromArgMatches};
        let matches = LateOptions::command().try_get_matches_from(&late)?;
        let typed =
            |name: &str| matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
        let late = LateOptions::from_arg_matches(&matches)?.options;
        args.options = args.options.overridden_by(late, typed);
    }
    let options = &args.options;
    let Some(op) = op::find(&args.action) else {
        bail!("{} is no operation{}", args.action, suggest(&args.action, actions()));
    };
    let params = wire_params(op, params)?;
    let endpoint = options.endpoint()?;
    let credentials = options.credentials()?;
    let signing = if options.v1 { Signing::V1 } else { Signing::V3 };
    let format = match options.format {
        ReplyFormat::Json => Format::Json,
        ReplyFormat::Xml => Format::Xml,
    };
    let client = Client::new(endpoint, credentials, signing, Clock::system(), Random::system()?);
    let reply = client.send(&args.action, &params, format).await?;
    println!("{}", reply.body);
    if let Some(refused) = reply.refused() {
        eprintln!("{refused}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn overridden_by(self, late: Self, typed: impl Fn(&str) -> bool) -> Self {
        Self {
            endpoint: if typed("endpoint") { late.endpoint } else { self.endpoint },
            access_key_id: if typed("access_key_id") {
                late.access_key_id
            } else {
                self.access_key_id
            },
            access_key_secret: if typed("access_key_secret") {
                late.access_key_secret
            } else {
                self.access_key_secret
            },
            security_token: if typed("security_token") {
                late.security_token
            } else {
                self.security_token
            },
            data: if typed("data") { late.data } else { self.data },
            format: if typed("format") { late.format } else { self.format },
            v1: self.v1 || late.v1,
        }
    }

    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        match &self.endpoint {
            Some(endpoint) => Endpoint::parse(endpoint),
            None => endpoint_of(&self.data),
        }
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        match (&self.access_key_id, &self.access_key_secret) {
            (Some(id), Some(secret)) => Ok(Credentials {
                access_key_id: id.clone(),
                access_key_secret: secret.clone(),
                security_token: self.security_token.clone(),
            }),
            (None, None) if self.security_token.is_none() => credentials_of(&self.data),
            _ => bail!(
                "give both --access-key-id and --access-key-secret, with --security-token or without, or none"
            ),
        }
    }
}

/// The address that the server of a data folder last listened on.
///
/// # Errors
/// A sentence when the folder doesn't say.
pub fn endpoint_of(data: &Path) -> anyhow::Result<Endpoint> {
    let path = data.join("endpoint");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("no --endpoint given, and {} cannot be read", path.display()))?;
    let http = text.split_whitespace().find_map(|pair| pair.strip_prefix("http="));
    let http = http.ok_or_else(|| anyhow!("{} names no http address", path.display()))?;
    Endpoint::parse(http)
}

/// The access key that the server of a data folder made at its first start.
///
/// # Errors
/// A sentence when the folder has none.
pub fn credentials_of(data: &Path) -> anyhow::Result<Credentials> {
    #[derive(Deserialize)]
    struct File {
        access_key_id: String,
        access_key_secret: String,
    }
    let path = data.join("access-key.toml");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!("no --access-key-id given, and {} cannot be read", path.display())
    })?;
    let File { access_key_id, access_key_secret } =
        toml::from_str(&text).with_context(|| format!("{} holds no access key", path.display()))?;
    Ok(Credentials { access_key_id, access_key_secret, security_token: None })
}

/// Parts what follows the operation into parameters, whose names begin with a capital letter, and options.
fn split(args: Vec<String>) -> anyhow::Result<(Vec<(String, String)>, Vec<String>)> {
    let (mut params, mut options) = (Vec::new(), Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let name = arg
            .strip_prefix("--")
            .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()));
        match name.map(|name| name.split_once('=')) {
            Some(Some((name, value))) => params.push((name.to_owned(), value.to_owned())),
            Some(None) => {
                let name = arg[2..].to_owned();
                let value = args.next().ok_or_else(|| anyhow!("--{name} has no value"))?;
                params.push((name, value));
            }
            None => options.push(arg),
        }
    }
    Ok((params, options))
}

/// Checks names against the table and numbers the elements of lists that came without a number.
fn wire_params(op: &Op, given: Vec<(String, String)>) -> anyhow::Result<Vec<(String, String)>> {
    let mut params: Vec<(String, String)> = Vec::with_capacity(given.len());
    for (name, value) in given {
        let (base, rest) =
            name.split_once('.').map_or((&*name, None), |(base, rest)| (base, Some(rest)));
        let row = op.params.iter().find(|row| row.name == base);
        let row = row.ok_or_else(|| {
            let names = op.params.iter().map(|row| row.name);
            anyhow!("{} has no parameter --{name}{}", op.action, suggest(base, names))
        })?;
        let name = match (row.kind, rest) {
            (Kind::Texts, None) => {
                let is_taken =
                    |n: &usize| params.iter().any(|(name, _)| *name == format!("{base}.{n}"));
                let next = (1..=params.len() + 1).find(|n| !is_taken(n));
                let next = next.expect("one number more than there are parameters");
                format!("{base}.{next}")
            }
            (Kind::Texts, Some(number)) if is_number(number) => name,
            (Kind::Objects(fields), _) if is_field(fields, rest) => name,
            (Kind::Texts | Kind::Objects(_), _) => bail!("--{name}: {}", list_form(row)),
            (_, None) => name,
            (_, Some(_)) => bail!("--{name}: {base} is no list"),
        };
        if params.iter().any(|(given, _)| *given == name) {
            bail!("--{name} is given twice");
        }
        params.push((name, value));
    }
    Ok(params)
}

fn is_number(text: &str) -> bool {
    text.parse().is_ok_and(|number: u32| number > 0)
}

fn is_field(fields: &[ParamRow], rest: Option<&str>) -> bool {
    rest.and_then(|rest| rest.split_once('.')).is_some_and(|(number, field)| {
        is_number(number) && fields.iter().any(|row| row.name == field)
    })
}

/// How the elements of a list are written.
fn list_form(row: &ParamRow) -> String {
    let name = row.name;
    match row.kind {
        Kind::Objects(fields) => {
            let forms: Vec<_> =
                fields.iter().map(|field| format!("--{name}.1.{}", field.name)).collect();
            format!("the elements of {name} are {}", forms.join(", "))
        }
        _ => format!("the elements of {name} are --{name}.1, --{name}.2 and so on"),
    }
}

fn actions() -> impl Iterator<Item = &'static str> {
    op::all().map(|op| op.action)
}

/// `; did you mean …?` for the nearest of `names`, empty when none is near.
fn suggest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    let given = given.to_lowercase();
    let nearest = names.map(|name| (distance(&given, &name.to_lowercase()), name)).min();
    match nearest {
        Some((distance, name)) if distance <= name.len() / 3 => format!("; did you mean {name}?"),
        _ => String::new(),
    }
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    fn params(action: &str, args: &[&str]) -> Result<Vec<String>, String> {
        let (params, options) = split(strings(args)).map_err(|error| error.to_string())?;
        assert_eq!(options, <[String; 0]>::default());
        let params = wire_params(op::find(action).unwrap(), params);
        let params = params.map_err(|error| error.to_string())?;
        Ok(params.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn elements_of_a_list_may_come_with_or_without_numbers() {
        let args = [
            "--TargetDeviceName",
            "a",
            "--TargetDeviceName.1",
            "b",
            "--TargetDeviceName=c",
            "--Tag.1.Key",
            "--k",
            "--Tag.1.Value=",
            "--NeedPush",
            "true",
        ];
        let repeated = [&args[..2], &args[4..5]].concat();
        assert_eq!(
            params("CreateOTAVerifyJob", &repeated).unwrap(),
            ["TargetDeviceName.1=a", "TargetDeviceName.2=c"]
        );
        assert_eq!(
            params("CreateOTAVerifyJob", &args[2..]).unwrap(),
            [
                "TargetDeviceName.1=b",
                "TargetDeviceName.2=c",
                "Tag.1.Key=--k",
                "Tag.1.Value=",
                "NeedPush=true"
            ]
        );
        assert_eq!(
            params("CreateOTAVerifyJob", &args[..4]).unwrap_err(),
            "--TargetDeviceName.1 is given twice"
        );
    }

    #[test]
    fn what_the_table_does_not_know_is_refused_with_a_suggestion() {
        for (args, want) in [
            (
                &["--FirmwareID", "x"][..],
                "CreateOTAVerifyJob has no parameter --FirmwareID; did you mean FirmwareId?",
            ),
            (&["--Xyz", "x"], "CreateOTAVerifyJob has no parameter --Xyz"),
            (&["--FirmwareId.1", "x"], "--FirmwareId.1: FirmwareId is no list"),
            (&["--Tag.1", "x"], "--Tag.1: the elements of Tag are --Tag.1.Key, --Tag.1.Value"),
            (
                &["--TargetDeviceName.x", "x"],
                "--TargetDeviceName.x: the elements of TargetDeviceName are \
                --TargetDeviceName.1, --TargetDeviceName.2 and so on",
            ),
            (&["--FirmwareId", "x", "--FirmwareId", "y"], "--FirmwareId is given twice"),
            (&["--FirmwareId"], "--FirmwareId has no value"),
        ] {
            assert_eq!(params("CreateOTAVerifyJob", args).unwrap_err(), want);
        }
        assert_eq!(suggest("ListOtaJobsByDevice", actions()), "; did you mean ListOTAJobByDevice?");
        assert_eq!(suggest("Frobnicate", actions()), "");
    }

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        call: CallArgs,
    }

    #[test]
    fn options_may_stand_before_and_behind_the_operation() {
        for args in [
            &["otaru", "--format", "xml", "QueryOTAJob", "--JobId", "j"][..],
            &["otaru", "QueryOTAJob", "--JobId", "j", "--format", "xml"],
            &["otaru", "QueryOTAJob", "--format", "xml", "--JobId", "j"],
        ] {
            let call = Command::try_parse_from(args).unwrap().call;
            assert_eq!(call.action, "QueryOTAJob", "{args:?}");
            let (params, late) = split(call.params).unwrap();
            assert_eq!(params, [("JobId".to_owned(), "j".to_owned())], "{args:?}");
            let format = match &late[..] {
                [] => call.options.format,
                late => LateOptions::try_parse_from(late).unwrap().options.format,
            };
            assert!(matches!(format, ReplyFormat::Xml), "{args:?}");
        }
    }

    #[test]
    fn address_and_key_come_from_the_data_folder() {
        let data = tempfile::tempdir().unwrap();
        assert!(endpoint_of(data.path()).is_err() && credentials_of(data.path()).is_err());
        std::fs::write(data.path().join("endpoint"), "http=127.0.0.1:8080 mqtt=127.0.0.1:1883\n")
            .unwrap();
        let key = "access_key_id = 'id'\naccess_key_secret = 'secret'\n";
        std::fs::write(data.path().join("access-key.toml"), key).unwrap();
        assert_eq!(endpoint_of(data.path()).unwrap().host(), "127.0.0.1:8080");
        let credentials = credentials_of(data.path()).unwrap();
        assert_eq!(
            (&*credentials.access_key_id, &*credentials.access_key_secret),
            ("id", "secret")
        );
    }
}
