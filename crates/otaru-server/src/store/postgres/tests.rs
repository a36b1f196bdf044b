//! Against a real PostgreSQL: `./test postgres` starts one and says where it is.

mod known;
pub mod plan;

use super::*;
use otaru_core::id::AccountNo;
use otaru_core::time::Timestamp;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Bytes of rows that an engine under test knows.
const KNOWN: usize = 1 << 20;

fn url() -> String {
    std::env::var("OTARU_TEST_POSTGRES").expect("OTARU_TEST_POSTGRES is the URL of a server")
}

fn target() -> Target {
    Target::parse(&url().parse().unwrap(), None).unwrap()
}

/// A name that no other schema has.
fn schema() -> String {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    format!("test_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed))
}

fn open_in(schema: &str) -> PostgresEngine {
    PostgresEngine::open_in(target(), schema, Random::seeded(1), KNOWN).unwrap()
}

fn add_account(engine: &mut PostgresEngine, name: &str) -> Result<AccountNo> {
    let mut made = None;
    engine.transact(&mut |rows| {
        made = Some(rows.insert_account(name, Timestamp(1))?);
        Ok(())
    })?;
    Ok(made.unwrap())
}

/// Accounts in the database, by another connection than the engine's.
fn accounts(schema: &str) -> i64 {
    let session = Session::new(target(), schema, 0).unwrap();
    session.connect().unwrap();
    let rows = session.query("SELECT count(*) FROM account", &[]).unwrap();
    let Value::Integer(count) = rows[0][0] else { panic!("{rows:?}") };
    count
}

/// Ends the backend of a session, as an administrator does.
fn end_backend(session: &Session) {
    let own = session.query("SELECT pg_backend_pid()", &[]).unwrap();
    let Value::Integer(pid) = own[0][0] else { panic!("{own:?}") };
    let other = session.another().unwrap();
    other.connect().unwrap();
    other.query(&format!("SELECT pg_terminate_backend({pid}, 10000)"), &[]).unwrap();
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn the_contract_holds() {
    crate::store::contract::holds_for(|| open_in(&schema()));
}

#[test]
fn a_layout_has_the_same_number_in_both_engines() {
    assert_eq!(
        schema::newest(),
        crate::store::sqlite::newest_layout(),
        "a step of one engine needs one of the other, in its migrations/"
    );
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn tables_have_the_same_columns_in_both_engines() {
    let name = schema();
    let engine = open_in(&name);
    let rows = engine.session.query(
        "SELECT table_name::text, column_name::text FROM information_schema.columns
         WHERE table_schema = ?1 AND table_name <> 'engine' ORDER BY 1, 2",
        params![name],
    );
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let ours: Vec<_> = rows.unwrap().iter().map(|row| (text(&row[0]), text(&row[1]))).collect();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(ours, crate::store::sqlite::columns(&folder.path().join("one.db")));
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_store_that_is_opened_again_has_all_that_was_committed() {
    let name = schema();
    let first = add_account(&mut open_in(&name), "kept").unwrap();
    let second = add_account(&mut open_in(&name), "next").unwrap();
    assert!(first < second);
    assert_eq!(accounts(&name), 2);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_database_of_a_newer_version_is_refused() {
    let name = schema();
    open_in(&name).session.batch("UPDATE engine SET layout = 99").unwrap();
    let refused = PostgresEngine::open_in(target(), &name, Random::seeded(1), KNOWN).err().unwrap();
    assert!(refused.to_string().contains("layout 99"), "{refused}");
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_server_that_is_not_there_or_has_no_such_database_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let missing = url().replace("/postgres", "/nowhere");
    for (url, why) in [
        (format!("postgres://otaru:s3cret@127.0.0.1:{closed}/otaru"), "can't be reached"),
        (missing.replace("otaru@", "otaru:s3cret@"), "make the database: CREATE DATABASE"),
    ] {
        let target = Target::parse(&url.parse().unwrap(), None).unwrap();
        let refused =
            PostgresEngine::open(target, Random::seeded(1), KNOWN).err().unwrap().to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn texts_come_back_whatever_is_in_them() {
    let mut engine = open_in(&schema());
    let mut names = ["a\0b", "\u{FDD0}", "\u{FDD0}0", "灯具", "'\"\\"].map(str::to_owned);
    let account = add_account(&mut engine, "main").unwrap();
    engine
        .transact(&mut |rows| {
            for name in &names {
                let user = crate::store::User {
                    no: otaru_core::id::UserNo(0),
                    account,
                    name: name.clone(),
                    may: crate::store::Permissions { read: true, write: false, all_products: true },
                    disabled: false,
                    created_at: Timestamp(1),
                };
                let no = rows.insert_user(&user)?;
                assert_eq!(rows.user_by_name(account, name)?.map(|user| user.no), Some(no));
            }
            Ok(())
        })
        .unwrap();
    let mut found = Vec::new();
    engine
        .view(&mut |view| {
            found = view.users(account)?.into_iter().map(|user| user.name).collect();
            Ok(())
        })
        .unwrap();
    found.sort();
    names.sort();
    assert_eq!(found, names);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_text_that_no_index_takes_fails_alone_and_says_why() {
    let name = schema();
    let mut engine = open_in(&name);
    let random = Random::seeded(3);
    // Nothing that compression makes shorter.
    let long: String = (0..200).map(|_| random.hex(16)).collect();
    let refused = engine.transact(&mut |rows| rows.insert_instance(&long).map(drop));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("more than some 2,700 bytes"), "{refused}");
    assert!(!refused.contains(&long[..32]), "{refused}");
    add_account(&mut engine, "next").unwrap();
    assert_eq!(accounts(&name), 1);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn the_server_that_was_there_before_can_not_write_beside_the_next() {
    let name = schema();
    let mut before = open_in(&name);
    add_account(&mut before, "one").unwrap();
    let mut next = open_in(&name);
    let refused = add_account(&mut before, "two").unwrap_err().to_string();
    assert!(refused.contains("another server has taken the database"), "{refused}");
    add_account(&mut next, "three").unwrap();
    assert!(add_account(&mut before, "four").is_err());
    assert_eq!(accounts(&name), 2);
    let told = before.superseded();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(told.notified());
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_batch_whose_connection_ends_in_its_middle_is_run_again() {
    let name = schema();
    let mut engine = open_in(&name);
    let broken = Session::new(target(), &name, 0).unwrap();
    broken.connect().unwrap();
    let mut runs = 0;
    let ends = |rows: &mut dyn Rows, runs: &mut u32| -> Result<()> {
        rows.insert_account("one", Timestamp(1))?;
        *runs += 1;
        if *runs == 1 {
            // All backends of the schema's engine but our own second connection.
            broken.query(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
                 WHERE relation = 'account'::regclass AND pid <> pg_backend_pid()",
                &[],
            )?;
        }
        Ok(())
    };
    engine.transact(&mut |rows| ends(rows, &mut runs)).unwrap();
    assert_eq!((runs, accounts(&name)), (2, 1));
}

/// The backend of the first COMMIT after `event` ends in it, before anything is kept.
fn end_first_commit(session: &Session, event: &str) {
    session
        .batch(&format!(
            "CREATE SEQUENCE commits;
             CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER fail_once AFTER {event} DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION fail_once()"
        ))
        .unwrap();
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_batch_whose_connection_ends_in_commit_is_kept_once() {
    let name = schema();
    let mut engine = open_in(&name);
    end_first_commit(&engine.session, "INSERT ON account");
    add_account(&mut engine, "one").unwrap();
    assert_eq!(accounts(&name), 1);
    add_account(&mut engine, "two").unwrap();
    assert_eq!(accounts(&name), 2);
}

/// Stands before a server, and when it is armed cuts a connection off between a COMMIT and its answer.
struct Cutter {
    port: u16,
    is_armed: Arc<AtomicBool>,
}

impl Cutter {
    fn before(target: &Target) -> Self {
        let upstream = target.config.get_ports()[0];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_armed = Arc::new(AtomicBool::new(false));
        let armed = is_armed.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", upstream)).unwrap();
                let armed = armed.clone();
                std::thread::spawn(move || carry(client, server, &armed));
            }
        });
        Self { port, is_armed }
    }
}

impl Cutter {
    /// An engine that reaches the server through it.
    fn engine(&self, schema: &str) -> PostgresEngine {
        let direct = format!(":{}/", target().config.get_ports()[0]);
        let through = url().replace(&direct, &format!(":{}/", self.port));
        let through = Target::parse(&through.parse().unwrap(), None).unwrap();
        PostgresEngine::open_in(through, schema, Random::seeded(1), KNOWN).unwrap()
    }
}

fn carry(client: TcpStream, server: TcpStream, armed: &AtomicBool) {
    let answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = cut.clone();
    let back = std::thread::spawn(move || {
        let (mut server, mut client) = answers;
        let mut bytes = [0; 16_384];
        while let Ok(read @ 1..) = server.read(&mut bytes) {
            // The server has answered; nobody hears it.
            if is_cut.load(Ordering::SeqCst) || client.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
    let (mut client, mut server) = (client, server);
    let mut bytes = [0; 16_384];
    while let Ok(read @ 1..) = client.read(&mut bytes) {
        if bytes[..read].windows(6).any(|w| w == b"COMMIT") && armed.swap(false, Ordering::SeqCst) {
            cut.store(true, Ordering::SeqCst);
        }
        if server.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Both);
    let _ = back.join();
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_commit_whose_answer_is_lost_is_found_out_and_kept_once() {
    let name = schema();
    let cutter = Cutter::before(&target());
    let mut engine = cutter.engine(&name);
    add_account(&mut engine, "one").unwrap();
    cutter.is_armed.store(true, Ordering::SeqCst);
    let mut runs = 0;
    engine
        .transact(&mut |rows| {
            runs += 1;
            rows.insert_account("two", Timestamp(1)).map(drop)
        })
        .unwrap();
    assert!(!cutter.is_armed.load(Ordering::SeqCst), "the connection was cut");
    assert_eq!((runs, accounts(&name)), (1, 2));
    add_account(&mut engine, "three").unwrap();
    assert_eq!(accounts(&name), 3);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_reader_connects_again_by_itself() {
    let engine = open_in(&schema());
    let session = engine.session.another().unwrap();
    session.connect().unwrap();
    let mut reader = PostgresReader { session, random: Random::seeded(1) };
    reader.view(&mut |view| view.last_device().map(drop)).unwrap();
    end_backend(&reader.session);
    reader.view(&mut |view| view.last_device().map(drop)).unwrap();
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn transactions_in_each_others_way_are_run_again() {
    let name = schema();
    let mut engine = open_in(&name);
    // Told that a transaction was in the way, as by a deadlock.
    engine
        .session
        .batch(
            "CREATE SEQUENCE tries;
             CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('tries') < 3 THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '40P01'; END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER fail_twice AFTER INSERT ON account FOR EACH ROW EXECUTE FUNCTION fail_twice()",
        )
        .unwrap();
    add_account(&mut engine, "one").unwrap();
    assert_eq!(accounts(&name), 1);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn rows_move_from_one_engine_to_the_other_and_back() {
    use crate::store::sqlite::SqliteEngine;
    use crate::store::transfer::{export, import};
    let folder = tempfile::tempdir().unwrap();
    let file =
        |name: &str| SqliteEngine::open(&folder.path().join(name), Random::seeded(1)).unwrap();
    let (mut first, mut database, mut last) = (file("one.db"), open_in(&schema()), file("two.db"));
    crate::store::contract::furnish(&mut first);
    let (mut out, mut again) = (Vec::new(), Vec::new());
    let summary = first.in_bulk(|conn| export(conn, &mut out)).unwrap();
    assert_eq!(database.in_bulk(|conn| import(conn, &mut out.as_slice())).unwrap(), summary);
    let mut next = None;
    database
        .transact(&mut |rows| {
            next = Some(rows.insert_account("next", Timestamp(1))?);
            Err(StoreError::Engine("only the number is of interest".into()))
        })
        .unwrap_err();
    assert_eq!(next, Some(AccountNo(2)), "numbers go on");
    assert_eq!(database.in_bulk(|conn| export(conn, &mut again)).unwrap(), summary);
    assert_eq!(last.in_bulk(|conn| import(conn, &mut again.as_slice())).unwrap(), summary);
    let refused = database.in_bulk(|conn| import(conn, &mut again.as_slice())).unwrap_err();
    assert!(refused.to_string().contains("not empty"), "{refused}");
    let mut bare = open_in(&schema());
    let cut = &again[..again.len() / 2];
    assert!(bare.in_bulk(|conn| import(conn, &mut &*cut)).is_err());
    bare.in_bulk(|conn| import(conn, &mut again.as_slice())).unwrap();
}
