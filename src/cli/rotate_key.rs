//! `onegate audit rotate-key`: from now on another key signs the audit, and both keys say so.

use clap::Args;

use super::control::Control;
use super::output::{Failure, Format, Output};
use crate::admin::wire;

#[derive(Args, Debug)]
pub struct RotateKeyArgs {
    #[arg(long)]
    reason: String,
}

impl RotateKeyArgs {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        let rotated = control.rotate_key(&wire::RotateKey { reason: self.reason })?;
        if output.format == Format::Json {
            return output.json(&rotated);
        }
        let wire::KeyRotated { from, to } = rotated;
        writeln!(output.out, "The audit is signed with another key; the one before is removed.")?;
        writeln!(output.out, "before  {from}")?;
        writeln!(output.out, "now     {to}")?;
        writeln!(
            output.out,
            "Give auditors audit.pub. Whoever trusts the key before can check the whole log with it too."
        )?;
        Ok(())
    }
}
