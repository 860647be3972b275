fn main() -> std::process::ExitCode {
    graticule_server::cli::main()
}
