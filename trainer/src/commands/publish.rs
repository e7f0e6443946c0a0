use clap::{Args, Subcommand};
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Publish a super-resolution network.
    Superres(Superres),
}
#[derive(Debug, Args)]
pub struct Superres {}
impl Superres {
    pub fn run(self) -> anyhow::Result<()> {
        anyhow::bail!("soon")
    }
}
