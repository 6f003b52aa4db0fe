//! The `lockstep` program.
fn main() -> std::process::ExitCode {
    node::main()
}
