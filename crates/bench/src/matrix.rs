//! matrix
#[derive(Clone, Debug, clap::Args)]
pub struct MatrixCommand {}
impl MatrixCommand { pub fn run(self) -> std::process::ExitCode { std::process::ExitCode::SUCCESS } }
