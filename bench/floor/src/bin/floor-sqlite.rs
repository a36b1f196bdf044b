//! `floor-sqlite rows FROM TO COUNT`: inserts the newest tasks of a server's database FROM into a new one.
//! `floor-sqlite commits TO COUNT`: commits that many changes of one row. Both print a line of JSON.

use otaru_floor::rows;
use std::error::Error;
use std::path::Path;

#[allow(clippy::print_stdout, reason = "a command prints")]
fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["rows", from, to, count] => {
            let done = rows::copy(Path::new(from), Path::new(to), count.parse()?)?;
            let (seconds, cpu) = (done.took.as_secs_f64(), done.cpu.as_secs_f64());
            println!(
                r#"{{"tasks":{},"commits":{},"seconds":{seconds},"cpu_seconds":{cpu}}}"#,
                done.tasks, done.commits
            );
        }
        ["commits", to, count] => {
            let count: u32 = count.parse()?;
            let seconds = rows::commits(Path::new(to), count)?.as_secs_f64();
            println!(r#"{{"commits":{count},"seconds":{seconds}}}"#);
        }
        _ => return Err("usage: floor-sqlite rows FROM TO COUNT | commits TO COUNT".into()),
    }
    Ok(())
}
