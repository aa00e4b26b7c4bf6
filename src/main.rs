fn main() {
    let files: Vec<_> = std::env::args().skip(2).map(Into::into).collect();
    let table = lapwing::normalise::AttributeTable::builtin();
    if let Err(e) = lapwing::cli::enrich::run(
        &files,
        &table,
        lapwing::enrich::Rules::builtin(),
        &mut std::io::stdout().lock(),
    ) {
        eprintln!("{e}");
        std::process::exit(1);
    }
}
