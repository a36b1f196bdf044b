//! `otaru registration`: which devices of a product may register themselves.

use std::io::{self, Write};

use anyhow::bail;
use clap::{Args, ValueEnum};
use otaru_core::registration::Registration;
use serde::{Deserialize, Serialize};

use super::admin::{self, DataArgs};
use crate::app::operator::{Act, Done};

/// Show or say which devices of a product may register themselves by the secret of the product.
///
/// A new product lets none. A device that is registered so gets a secret of its own, which is good from then on; once it
/// has connected it may register again only after `ResetThing`. Like `otaru key`, the command works on the data folder of
/// a server on this machine, whether the server runs or not.
#[derive(Debug, Args)]
pub struct RegistrationArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Key of the product
    product_key: String,
    /// Who may; without it, it is shown
    mode: Option<Mode>,
}

/// [`Registration`] on the command line and on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No device
    Off,
    /// Devices whose names are registered
    Known,
    /// Any device, also under a name that nobody has registered (over MQTT, for a token)
    Any,
}

impl From<Mode> for Registration {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Off => Self::Off,
            Mode::Known => Self::Known,
            Mode::Any => Self::Any,
        }
    }
}

impl From<Registration> for Mode {
    fn from(registration: Registration) -> Self {
        match registration {
            Registration::Off => Self::Off,
            Registration::Known => Self::Known,
            Registration::Any => Self::Any,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A sentence when it is refused, or there is no data.
pub async fn run(args: RegistrationArgs) -> anyhow::Result<()> {
    let act = Act::Registration { product_key: args.product_key, mode: args.mode };
    let Done::Registration(mode) = admin::act(&args.data, act).await? else {
        bail!("the server answers something else");
    };
    Ok(writeln!(io::stdout(), "{}", Registration::from(mode).as_wire())?)
}
