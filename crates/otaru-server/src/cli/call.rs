//! `otaru call`: one signed call to a running server.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::{Args, Parser, ValueEnum};

use super::client::Client;
use super::target::Target;
use crate::clock::Clock;
use crate::random::Random;
use crate::rpc::client::Signing;
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
    #[command(flatten)]
    target: Target,
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
    let params = checked(&args.action, params)?;
    let endpoint = options.target.endpoint()?;
    let credentials = options.target.credentials()?;
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
            format: if typed("format") { late.format } else { self.format },
            v1: self.v1 || late.v1,
            target: self.target.overridden_by(late.target, typed),
        }
    }
}

/// What follows an operation on a command line that has no options there.
///
/// # Errors
/// A sentence when it is no operation, or these are not its parameters.
pub(crate) fn parameters(action: &str, args: Vec<String>) -> anyhow::Result<Vec<(String, String)>> {
    let (params, others) = split(args)?;
    if let Some(other) = others.first() {
        bail!("{other} is no parameter: options come before the operation");
    }
    checked(action, params)
}

fn checked(action: &str, params: Vec<(String, String)>) -> anyhow::Result<Vec<(String, String)>> {
    match op::find(action) {
        Some(op) => wire_params(op, params),
        None => bail!("{action} is no operation{}", suggest(action, actions())),
    }
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
}
