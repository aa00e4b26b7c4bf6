fn main() {
    if std::env::args().nth(1).as_deref() == Some(lapwing::store::embedded::CHILD_COMMAND)
        && let Err(error) = lapwing::store::embedded::run_child()
    {
        eprintln!("lapwing engine: {error}");
        std::process::exit(1);
    }
}
