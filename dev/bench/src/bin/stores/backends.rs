//! The candidates behind one small interface.

use std::path::Path;

/// What is kept apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    Registrations,
    Events,
}

/// One row to be written.
pub(crate) struct Put {
    pub(crate) tree: Tree,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Rows and bytes that were read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Read {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.bytes += u64::try_from(key.len() + value.len()).unwrap_or(0);
    }
}

/// A candidate.
pub(crate) trait Backend: Sized {
    /// Opens or makes it.
    fn open(folder: &Path) -> Result<Self, String>;
    /// All rows or none, on the disk when this returns.
    fn commit(&self, puts: Vec<Put>) -> Result<(), String>;
    /// Bytes of a value.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<usize>, String>;
    /// At most so many rows from a key on.
    fn range(&self, tree: Tree, from: &[u8], max: usize) -> Result<Read, String>;
    /// Forgets the events below a key.
    fn forget_below(&self, key: &[u8]) -> Result<(), String>;
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(crate) struct Fjall {
    database: fjall::Database,
    registrations: fjall::Keyspace,
    events: fjall::Keyspace,
}

impl Fjall {
    fn tree(&self, tree: Tree) -> &fjall::Keyspace {
        match tree {
            Tree::Registrations => &self.registrations,
            Tree::Events => &self.events,
        }
    }
}

impl Backend for Fjall {
    fn open(folder: &Path) -> Result<Fjall, String> {
        let database = fjall::Database::builder(folder).open().map_err(text)?;
        let memtable =
            std::env::var("MEMTABLE_MB").ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(32);
        let options = || fjall::KeyspaceCreateOptions::default().max_memtable_size(memtable << 20);
        let registrations = database.keyspace("registrations", options).map_err(text)?;
        let events = database.keyspace("events", options).map_err(text)?;
        Ok(Fjall { database, registrations, events })
    }

    fn commit(&self, puts: Vec<Put>) -> Result<(), String> {
        let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        for put in puts {
            batch.insert(self.tree(put.tree), put.key, put.value);
        }
        batch.commit().map_err(text)
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<usize>, String> {
        Ok(self.tree(tree).get(key).map_err(text)?.map(|value| value.len()))
    }

    fn range(&self, tree: Tree, from: &[u8], max: usize) -> Result<Read, String> {
        let mut read = Read::default();
        for row in self.tree(tree).range(from..).take(max) {
            let (key, value) = row.into_inner().map_err(text)?;
            read.add(&key, &value);
        }
        Ok(read)
    }

    fn forget_below(&self, key: &[u8]) -> Result<(), String> {
        loop {
            let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
            for row in self.events.range(..key).take(10_000) {
                batch.remove(&self.events, row.key().map_err(text)?);
            }
            if batch.is_empty() {
                return Ok(());
            }
            batch.commit().map_err(text)?;
        }
    }
}

pub(crate) struct Redb(redb::Database);

const REGISTRATIONS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("registrations");
const EVENTS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("events");

fn table(tree: Tree) -> redb::TableDefinition<'static, &'static [u8], &'static [u8]> {
    match tree {
        Tree::Registrations => REGISTRATIONS,
        Tree::Events => EVENTS,
    }
}

impl Backend for Redb {
    fn open(folder: &Path) -> Result<Redb, String> {
        std::fs::create_dir_all(folder).map_err(text)?;
        let database = redb::Database::create(folder.join("redb")).map_err(text)?;
        let transaction = database.begin_write().map_err(text)?;
        for tree in [Tree::Registrations, Tree::Events] {
            transaction.open_table(table(tree)).map_err(text)?;
        }
        transaction.commit().map_err(text)?;
        Ok(Redb(database))
    }

    fn commit(&self, puts: Vec<Put>) -> Result<(), String> {
        // With what it needs to open again fast after a crash.
        let mut transaction = self.0.begin_write().map_err(text)?;
        transaction.set_quick_repair(true);
        for tree in [Tree::Registrations, Tree::Events] {
            let mut table = transaction.open_table(table(tree)).map_err(text)?;
            for put in puts.iter().filter(|put| put.tree == tree) {
                table.insert(put.key.as_slice(), put.value.as_slice()).map_err(text)?;
            }
        }
        transaction.commit().map_err(text)
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<usize>, String> {
        use redb::ReadableDatabase as _;
        let table = self.0.begin_read().map_err(text)?.open_table(table(tree)).map_err(text)?;
        Ok(table.get(key).map_err(text)?.map(|value| value.value().len()))
    }

    fn range(&self, tree: Tree, from: &[u8], max: usize) -> Result<Read, String> {
        use redb::ReadableDatabase as _;
        let table = self.0.begin_read().map_err(text)?.open_table(table(tree)).map_err(text)?;
        let mut read = Read::default();
        for row in table.range(from..).map_err(text)?.take(max) {
            let (key, value) = row.map_err(text)?;
            read.add(key.value(), value.value());
        }
        Ok(read)
    }

    fn forget_below(&self, key: &[u8]) -> Result<(), String> {
        let transaction = self.0.begin_write().map_err(text)?;
        {
            let mut table = transaction.open_table(EVENTS).map_err(text)?;
            table.retain_in(..key, |_, _| false).map_err(text)?;
        }
        transaction.commit().map_err(text)
    }
}

pub(crate) struct Sqlite(rusqlite::Connection);

fn name(tree: Tree) -> &'static str {
    match tree {
        Tree::Registrations => "registrations",
        Tree::Events => "events",
    }
}

impl Backend for Sqlite {
    fn open(folder: &Path) -> Result<Sqlite, String> {
        std::fs::create_dir_all(folder).map_err(text)?;
        let connection = rusqlite::Connection::open(folder.join("sqlite")).map_err(text)?;
        connection
            .execute_batch(
                "pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -65536;
                 create table if not exists registrations (k blob primary key, v blob not null) without rowid;
                 create table if not exists events (k blob primary key, v blob not null) without rowid;",
            )
            .map_err(text)?;
        Ok(Sqlite(connection))
    }

    fn commit(&self, puts: Vec<Put>) -> Result<(), String> {
        self.0.execute_batch("begin immediate").map_err(text)?;
        let written = puts.iter().try_for_each(|put| {
            let sql = format!("insert or replace into {} values (?1, ?2)", name(put.tree));
            let row = (put.key.as_slice(), put.value.as_slice());
            self.0.prepare_cached(&sql)?.execute(row).map(|_| ())
        });
        let done = written.and_then(|()| self.0.execute_batch("commit"));
        if done.is_err() {
            let _ = self.0.execute_batch("rollback");
        }
        done.map_err(text)
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<usize>, String> {
        let sql = format!("select v from {} where k = ?1", name(tree));
        let mut statement = self.0.prepare_cached(&sql).map_err(text)?;
        let mut rows = statement.query([key]).map_err(text)?;
        let Some(row) = rows.next().map_err(text)? else { return Ok(None) };
        Ok(Some(row.get::<_, Vec<u8>>(0).map_err(text)?.len()))
    }

    fn range(&self, tree: Tree, from: &[u8], max: usize) -> Result<Read, String> {
        let sql = format!("select k, v from {} where k >= ?1 order by k limit ?2", name(tree));
        let mut statement = self.0.prepare_cached(&sql).map_err(text)?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let mut rows = statement.query((from, max)).map_err(text)?;
        let mut read = Read::default();
        while let Some(row) = rows.next().map_err(text)? {
            let (key, value): (Vec<u8>, Vec<u8>) = (row.get(0).map_err(text)?, row.get(1).map_err(text)?);
            read.add(&key, &value);
        }
        Ok(read)
    }

    fn forget_below(&self, key: &[u8]) -> Result<(), String> {
        self.0.execute("delete from events where k < ?1", [key]).map(|_| ()).map_err(text)
    }
}

#[cfg(feature = "rocksdb")]
pub(crate) struct Rocks(rocksdb::DB);

#[cfg(feature = "rocksdb")]
impl Rocks {
    fn tree(&self, tree: Tree) -> &rocksdb::ColumnFamily {
        self.0.cf_handle(name(tree)).expect("made when it was opened")
    }
}

#[cfg(feature = "rocksdb")]
impl Backend for Rocks {
    fn open(folder: &Path) -> Result<Rocks, String> {
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_write_buffer_size(32 << 20);
        options.set_compression_type(rocksdb::DBCompressionType::None);
        options.increase_parallelism(4);
        let trees = [Tree::Registrations, Tree::Events].map(|tree| (name(tree), options.clone()));
        rocksdb::DB::open_cf_with_opts(&options, folder, trees).map(Rocks).map_err(text)
    }

    fn commit(&self, puts: Vec<Put>) -> Result<(), String> {
        let mut batch = rocksdb::WriteBatch::default();
        for put in puts {
            batch.put_cf(self.tree(put.tree), put.key, put.value);
        }
        let mut options = rocksdb::WriteOptions::default();
        options.set_sync(true);
        self.0.write_opt(batch, &options).map_err(text)
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<usize>, String> {
        Ok(self.0.get_pinned_cf(self.tree(tree), key).map_err(text)?.map(|value| value.len()))
    }

    fn range(&self, tree: Tree, from: &[u8], max: usize) -> Result<Read, String> {
        let from = rocksdb::IteratorMode::From(from, rocksdb::Direction::Forward);
        let mut read = Read::default();
        for row in self.0.iterator_cf(self.tree(tree), from).take(max) {
            let (key, value) = row.map_err(text)?;
            read.add(&key, &value);
        }
        Ok(read)
    }

    fn forget_below(&self, key: &[u8]) -> Result<(), String> {
        self.0.delete_range_cf(self.tree(Tree::Events), &[] as &[u8], key).map_err(text)
    }
}
