//! Parquet: one row per step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use forethought_api::{
    Error, Result,
    error::Context as _,
    trajectory::{Step, Trajectory},
};
use parquet::basic::{Compression, ConvertedType, LogicalType, Type as Physical, ZstdLevel};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData, KeyValue};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;
use serde::de::DeserializeOwned;

/// The columns, in order.
const SCHEMA: &str = "
    message trajectories {
        required binary episode_id (STRING);
        required binary environment (STRING);
        required int64 task (INTEGER(64, false));
        required int64 seed (INTEGER(64, false));
        required int64 seat (INTEGER(64, false));
        required binary source (STRING);
        required int64 step (INTEGER(64, false));
        required binary observation (STRING);
        required binary state (STRING);
        required binary thought (STRING);
        required binary action (STRING);
        required binary next_state (STRING);
        required group outcomes (LIST) {
            repeated group list {
                required binary element (STRING);
            }
        }
        required double reward;
        required boolean terminated;
        required boolean truncated;
    }";

/// Columns that a file has only if a trajectory of it knows more than the columns before: JSON where it is not text.
/// What is said of a whole trajectory is in its first row.
const FURTHER: [&str; 4] = ["instructions", "tools_json", "info_json", "step_info_json"];

/// Rows in one row group at most: readers hold one at a time.
const ROW_GROUP: usize = 16_384;

/// What files of this program say in `created_by`, followed by its version.
const CREATED_BY: &str = "forethought ";
/// The key of the rows' hash in the footer. Only in files that this program wrote is it believed: others may keep it
/// when they change rows.
const HASH: &str = "forethought.rows_blake3";
/// The same for the columns of [`FURTHER`].
const FURTHER_HASH: &str = "forethought.further_blake3";

/// A step with its trajectory: a row.
struct Row<'a> {
    of: &'a Trajectory,
    index: usize,
    step: &'a Step,
}

fn rows(trajectories: &[Trajectory]) -> impl Iterator<Item = Row<'_>> {
    trajectories.iter().flat_map(|of| (0..).zip(&of.steps).map(move |(index, step)| Row { of, index, step }))
}

impl Row<'_> {
    /// The values of [`FURTHER`]; empty for what is not known.
    fn further(&self) -> Result<[String; 4]> {
        let Self { of, index, step } = self;
        let first = *index == 0;
        let json = |known: bool, value: &dyn Fn() -> serde_json::Result<String>| -> Result<String> {
            if known { Ok(value()?) } else { Ok(String::new()) }
        };
        Ok([
            if first { of.instructions.clone() } else { String::new() },
            json(first && !of.tools.is_empty(), &|| serde_json::to_string(&of.tools))?,
            json(first && !of.info.is_empty(), &|| serde_json::to_string(&of.info))?,
            json(!step.info.is_empty(), &|| serde_json::to_string(&step.info))?,
        ])
    }
}

/// The values of [`FURTHER`], column by column, and their hash; `None` if all are empty.
fn further(rows: &[Row<'_>]) -> Result<Option<([Vec<ByteArray>; 4], String)>> {
    let (mut columns, mut hasher, mut known) = ([const { Vec::new() }; 4], blake3::Hasher::new(), false);
    for row in rows {
        let values = row.further()?;
        hasher.update(&serde_json::to_vec(&values)?);
        for (column, value) in columns.iter_mut().zip(values) {
            known |= !value.is_empty();
            column.push(ByteArray::from(value.into_bytes()));
        }
    }
    Ok(known.then(|| (columns, hasher.finalize().to_hex().to_string())))
}

/// The hash of the columns of [`SCHEMA`], row by row: those of [`FURTHER`] are not in it, so that older programs read
/// files that have them.
fn hash<'a>(rows: impl Iterator<Item = Row<'a>>) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for Row { of, index, step } in rows {
        let ids = (&of.episode, &of.environment, of.task, of.seed, of.seat, &of.source, index);
        let texts = (&step.observation, &step.state, &step.thought, &step.action, &step.next_state);
        let rest = (&step.outcomes, step.reward, step.terminated, step.truncated);
        hasher.update(&serde_json::to_vec(&(ids, texts, rest))?);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

pub(super) fn write(path: &Path, trajectories: &[Trajectory]) -> Result<()> {
    let rows: Vec<_> = rows(trajectories).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by(CREATED_BY.to_owned() + env!("CARGO_PKG_VERSION"))
        .build();
    let further = further(&rows)?;
    let columns = FURTHER.map(|name| format!("required binary {name} (STRING);")).concat();
    let schema = match further {
        Some(_) => SCHEMA.trim_end().trim_end_matches('}').to_owned() + &columns + "}",
        None => SCHEMA.to_owned(),
    };
    let schema = Arc::new(parse_message_type(&schema)?);
    crate::files::write_through(path, |file| {
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        for (index, part) in rows.chunks(ROW_GROUP).enumerate() {
            let mut group = writer.next_row_group()?;
            write_rows(&mut group, part)?;
            for values in further.iter().flat_map(|(columns, _)| columns) {
                let begin = index * ROW_GROUP;
                column::<ByteArrayType, _>(&mut group, &values[begin..begin + part.len()], None)?;
            }
            group.close()?;
        }
        let hash = hash(rows.into_iter())?;
        writer.append_key_value_metadata(KeyValue::new(HASH.to_owned(), hash));
        if let Some((_, hash)) = further {
            writer.append_key_value_metadata(KeyValue::new(FURTHER_HASH.to_owned(), hash));
        }
        writer.close()?;
        Ok(())
    })
}

/// Writes the columns in the order of [`SCHEMA`].
fn write_rows<W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row<'_>],
) -> Result<()> {
    let text = |of: &dyn Fn(&Row<'_>) -> String| -> Vec<ByteArray> {
        rows.iter().map(|row| ByteArray::from(of(row).into_bytes())).collect()
    };
    // Unsigned numbers are stored in signed ones bit by bit, as Parquet does.
    let number =
        |of: &dyn Fn(&Row<'_>) -> u64| -> Vec<i64> { rows.iter().map(|row| of(row).cast_signed()).collect() };
    let flag = |of: &dyn Fn(&Row<'_>) -> bool| -> Vec<bool> { rows.iter().map(of).collect() };

    column::<ByteArrayType, _>(group, &text(&|row| row.of.episode.clone()), None)?;
    column::<ByteArrayType, _>(group, &text(&|row| row.of.environment.clone()), None)?;
    column::<Int64Type, _>(group, &number(&|row| row.of.task), None)?;
    column::<Int64Type, _>(group, &number(&|row| row.of.seed), None)?;
    column::<Int64Type, _>(group, &number(&|row| row.of.seat as u64), None)?;
    column::<ByteArrayType, _>(group, &text(&|row| row.of.source.clone()), None)?;
    column::<Int64Type, _>(group, &number(&|row| row.index as u64), None)?;
    column::<ByteArrayType, _>(group, &text(&|row| row.step.observation.clone()), None)?;
    column::<ByteArrayType, _>(group, &text(&|row| row.step.state.clone()), None)?;
    column::<ByteArrayType, _>(group, &text(&|row| row.step.thought.clone()), None)?;
    column::<ByteArrayType, _>(group, &text(&|row| row.step.action.clone()), None)?;
    column::<ByteArrayType, _>(group, &text(&|row| row.step.next_state.clone()), None)?;
    let (outcomes, levels) = flatten(rows);
    column::<ByteArrayType, _>(group, &outcomes, Some(&levels))?;
    column::<DoubleType, _>(group, &rows.iter().map(|row| row.step.reward).collect::<Vec<_>>(), None)?;
    column::<BoolType, _>(group, &flag(&|row| row.step.terminated), None)?;
    column::<BoolType, _>(group, &flag(&|row| row.step.truncated), None)?;
    Ok(())
}

fn column<T: DataType, W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&Levels>,
) -> Result<()> {
    let mut column = group.next_column()?.ok_or_else(|| Error::other("more columns than the schema has"))?;
    let (definition, repetition) = levels.map(|levels| (&*levels.definition, &*levels.repetition)).unzip();
    column.typed::<T>().write_batch(values, definition, repetition)?;
    column.close()?;
    Ok(())
}

/// How Parquet stores lists: an entry for every element and for every empty list; repetition 0 begins a row,
/// definition 0 is an empty list.
#[derive(Default)]
struct Levels {
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

fn flatten(rows: &[Row<'_>]) -> (Vec<ByteArray>, Levels) {
    let (mut values, mut levels) = (Vec::new(), Levels::default());
    for row in rows {
        if row.step.outcomes.is_empty() {
            levels.definition.push(0);
            levels.repetition.push(0);
        }
        for (index, outcome) in row.step.outcomes.iter().enumerate() {
            values.push(ByteArray::from(outcome.as_str()));
            levels.definition.push(1);
            levels.repetition.push(i16::from(index > 0));
        }
    }
    (values, levels)
}

pub(super) fn read(path: &Path) -> Result<Vec<Trajectory>> {
    // The `parquet` crate panics over some damage.
    catch_unwind(AssertUnwindSafe(|| read_rows(path))).unwrap_or_else(|_| {
        Err(Error::input(format!("{} is malformed: the library that reads Parquet gave up", path.display())))
    })
}

fn read_rows(path: &Path) -> Result<Vec<Trajectory>> {
    let malformed = || format!("{} is malformed", path.display());
    let unreadable = |error| Error::input(malformed()).because(error);
    let wrong = |error: Error| Error::input(malformed()).because(error);
    let file = crate::files::open(path)?;
    if !super::footer::plausible(&file).context(malformed())? {
        return Err(Error::input(format!("{}: the footer is damaged", malformed())));
    }
    let reader = SerializedFileReader::new(file).map_err(unreadable)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let mut trajectories: Vec<Trajectory> = Vec::new();
    let mut first_row = 0;
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(unreadable)?;
        let (schema, rows) = (schema.root_schema(), rows_of(&*group).map_err(wrong)?);
        // A table that was filtered to nothing; its columns may have any type.
        if rows == 0 {
            continue;
        }
        let columns = Columns { group: &*group, schema, rows, first_row };
        let rows = columns.read().map_err(wrong)?;
        for (offset, (trajectory, step)) in rows.into_iter().enumerate() {
            let row = first_row + offset + 1;
            join(&mut trajectories, trajectory, step)
                .map_err(|error| error.context(format!("{}, row {row}", path.display())))?;
        }
        first_row += columns.rows;
    }
    let changed = || Err(Error::input(format!("{}: its rows are not those that were written", malformed())));
    let file = reader.metadata().file_metadata();
    if let Some(written) = written(file, HASH)
        && hash(rows(&trajectories))? != written
    {
        return changed();
    }
    if let Some(written) = written(file, FURTHER_HASH) {
        let rows: Vec<_> = rows(&trajectories).collect();
        if further(&rows)?.is_none_or(|(_, hash)| hash != written) {
            return changed();
        }
    }
    Ok(trajectories)
}

/// A hash of the rows of a file that this program wrote. Release 0.1.0 wrote none.
fn written<'f>(file: &'f FileMetaData, key: &str) -> Option<&'f str> {
    file.created_by().filter(|program| program.starts_with(CREATED_BY))?;
    file.key_value_metadata()?.iter().find(|entry| entry.key == key)?.value.as_deref()
}

fn rows_of(group: &dyn RowGroupReader) -> Result<usize> {
    Ok(usize::try_from(group.metadata().num_rows())?)
}

/// Adds a row to the trajectory that it continues, or begins a new one.
fn join(trajectories: &mut Vec<Trajectory>, mut row: Trajectory, index: u64) -> Result<()> {
    let same = |last: &&mut Trajectory| {
        let id = |t: &Trajectory| (t.task, t.seed, t.seat);
        id(last) == id(&row)
            && (&last.episode, &last.environment, &last.source)
                == (&row.episode, &row.environment, &row.source)
    };
    match trajectories.last_mut().filter(same) {
        Some(last) if index == last.steps.len() as u64 => last.steps.append(&mut row.steps),
        _ if index == 0 => trajectories.push(row),
        Some(last) => {
            return Err(Error::input(format!(
                "step {index} of episode `{}`, but step {} was expected; rows must be sorted by trajectory and step",
                row.episode,
                last.steps.len()
            )));
        }
        None => {
            return Err(Error::input(format!(
                "episode `{}` begins at step {index} instead of 0",
                row.episode
            )));
        }
    }
    Ok(())
}

/// The columns of one row group, found by name: other columns may be between them.
struct Columns<'a> {
    group: &'a dyn RowGroupReader,
    schema: &'a Type,
    rows: usize,
    /// Rows of the file before this group.
    first_row: usize,
}

impl Columns<'_> {
    fn read(&self) -> Result<Vec<(Trajectory, u64)>> {
        let (mut episode, mut environment) = (self.text("episode_id")?, self.text("environment")?);
        let (task, seed, seat) = (self.number("task")?, self.number("seed")?, self.number("seat")?);
        let (mut source, step) = (self.text("source")?, self.number("step")?);
        let (mut observation, mut state) = (self.text("observation")?, self.text("state")?);
        let (mut thought, mut action) = (self.text("thought")?, self.text("action")?);
        let (mut next_state, mut outcomes) = (self.text("next_state")?, self.outcomes()?);
        let reward = self.rewards()?;
        let (terminated, truncated) = (self.flags("terminated")?, self.flags("truncated")?);
        let further = FURTHER.map(|name| self.has(name).then(|| self.text(name)).transpose());
        let [instructions, tools, info, step_info] = further;
        let (mut instructions, tools) = (instructions?, tools?);
        let (info, step_info) = (info?, step_info?);
        let row = |i: usize| {
            let steps = vec![Step {
                observation: std::mem::take(&mut observation[i]),
                state: std::mem::take(&mut state[i]),
                thought: std::mem::take(&mut thought[i]),
                action: std::mem::take(&mut action[i]),
                next_state: std::mem::take(&mut next_state[i]),
                outcomes: std::mem::take(&mut outcomes[i]),
                reward: reward[i],
                terminated: terminated[i],
                truncated: truncated[i],
                info: self.json("step_info_json", &step_info, i)?,
            }];
            let trajectory = Trajectory {
                episode: std::mem::take(&mut episode[i]),
                environment: std::mem::take(&mut environment[i]),
                task: task[i],
                seed: seed[i],
                seat: usize::try_from(seat[i])?,
                source: std::mem::take(&mut source[i]),
                steps,
                instructions: instructions
                    .as_mut()
                    .map(|all| std::mem::take(&mut all[i]))
                    .unwrap_or_default(),
                tools: self.json("tools_json", &tools, i)?,
                info: self.json("info_json", &info, i)?,
            };
            Ok((trajectory, step[i]))
        };
        (0..self.rows).map(row).collect()
    }

    /// Whether the file has a column of this name.
    fn has(&self, name: &str) -> bool {
        self.schema.get_fields().iter().any(|field| field.name() == name)
    }

    /// A value of a column of JSON that the file need not have.
    fn json<T: DeserializeOwned + Default>(
        &self,
        name: &str,
        column: &Option<Vec<String>>,
        row: usize,
    ) -> Result<T> {
        match column.as_ref().map(|column| column[row].as_str()) {
            None | Some("") => Ok(T::default()),
            Some(json) => serde_json::from_str(json)
                .map_err(|error| self.wrong(row, &format!("column `{name}` is malformed: {error}"))),
        }
    }

    fn text(&self, name: &str) -> Result<Vec<String>> {
        let at = self.find(name)?;
        match at.physical {
            Physical::BYTE_ARRAY if !at.list => {
                let values = self.values::<ByteArrayType>(&at)?;
                values.into_iter().enumerate().map(|(row, value)| self.utf8(row, value, name)).collect()
            }
            _ => Err(self.other(&at, "text", "astype(str)")),
        }
    }
    fn flags(&self, name: &str) -> Result<Vec<bool>> {
        let at = self.find(name)?;
        match at.physical {
            Physical::BOOLEAN if !at.list => self.values::<BoolType>(&at),
            _ => Err(self.other(&at, "booleans", "astype(bool)")),
        }
    }
    /// Whole numbers. Other programs write them in fewer bits, or signed.
    fn number(&self, name: &str) -> Result<Vec<u64>> {
        let at = self.find(name)?;
        let values: Vec<i64> = match at.physical {
            Physical::INT64 if !at.list => self.values::<Int64Type>(&at)?,
            Physical::INT32 if !at.list => {
                let widened =
                    |value: i32| if at.unsigned { value.cast_unsigned().into() } else { value.into() };
                self.values::<Int32Type>(&at)?.into_iter().map(widened).collect()
            }
            _ => return Err(self.other(&at, "whole numbers", "astype(\"uint64\")")),
        };
        match values.iter().position(|value| *value < 0) {
            Some(row) if !at.unsigned => {
                Err(self.wrong(row, &format!("column `{name}` holds {}, which is below 0", values[row])))
            }
            _ => Ok(values.into_iter().map(i64::cast_unsigned).collect()),
        }
    }
    fn rewards(&self) -> Result<Vec<f64>> {
        let at = self.find("reward")?;
        let values: Vec<f64> = match at.physical {
            Physical::DOUBLE if !at.list => self.values::<DoubleType>(&at)?,
            Physical::FLOAT if !at.list => {
                self.values::<FloatType>(&at)?.into_iter().map(f64::from).collect()
            }
            Physical::INT32 if !at.list => {
                self.values::<Int32Type>(&at)?.into_iter().map(f64::from).collect()
            }
            Physical::INT64 if !at.list => {
                self.values::<Int64Type>(&at)?.into_iter().map(|value| value as f64).collect()
            }
            _ => return Err(self.other(&at, "numbers", "astype(float)")),
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(row) => {
                Err(self.wrong(row, &format!("column `reward` holds {}, which is not finite", values[row])))
            }
            None => Ok(values),
        }
    }
    /// A column that has a value in each row.
    fn values<T: DataType>(&self, at: &Place<'_>) -> Result<Vec<T::T>>
    where
        ColumnReaderImpl<T>: Take,
    {
        let (values, levels) = self.column::<T>(at)?;
        if values.len() != self.rows {
            let row = levels.definition.iter().position(|level| *level < levels.full).unwrap_or(values.len());
            return Err(self.wrong(row, &format!("column `{}` has no value", at.name)));
        }
        Ok(values)
    }
    /// Whether a column has no value at all. Other programs then know no type for it, and write this one.
    fn untyped(&self, at: &Place<'_>) -> bool {
        at.physical == Physical::INT32
            && self.column::<Int32Type>(at).is_ok_and(|(values, _)| values.is_empty())
    }
    /// An error about a column of a type that cannot be read.
    fn other(&self, at: &Place<'_>, expected: &str, cast: &str) -> Error {
        let (name, physical) = (at.name, at.physical);
        let list = if at.list { "a list of " } else { "" };
        match self.untyped(at) {
            true => self.wrong(0, &format!("column `{name}` has no value")),
            false => Error::input(format!(
                "column `{name}` should hold {expected}, but is {list}{physical}; with pandas: df[\"{name}\"] = \
                 df[\"{name}\"].{cast}"
            )),
        }
    }
    fn utf8(&self, row: usize, value: ByteArray, column: &str) -> Result<String> {
        String::from_utf8(value.data().to_vec())
            .map_err(|_| self.wrong(row, &format!("column `{column}` holds text that is not UTF-8")))
    }
    /// An error in a row of this group.
    fn wrong(&self, row: usize, what: &str) -> Error {
        Error::input(format!("row {}: {what}", self.first_row + row + 1))
    }
    fn outcomes(&self) -> Result<Vec<Vec<String>>> {
        let at = self.find("outcomes")?;
        if self.untyped(&at) {
            return Ok(vec![Vec::new(); self.rows]);
        }
        if at.physical != Physical::BYTE_ARRAY || !at.list {
            return Err(self.other(&at, "lists of text", "map(list)"));
        }
        let (values, levels) = self.column::<ByteArrayType>(&at)?;
        let mut values = values.into_iter();
        let mut rows: Vec<Vec<ByteArray>> = Vec::with_capacity(self.rows);
        let full = levels.full;
        for (definition, repetition) in levels.definition.iter().zip(&levels.repetition) {
            if *repetition == 0 {
                rows.push(Vec::new());
            }
            if *definition == full
                && let (Some(value), Some(row)) = (values.next(), rows.last_mut())
            {
                row.push(value);
            }
        }
        if rows.len() != self.rows {
            return Err(Error::input(format!("column `outcomes` has {} rows of {}", rows.len(), self.rows)));
        }
        let texts = |(row, values): (usize, Vec<ByteArray>)| {
            values.into_iter().map(|value| self.utf8(row, value, "outcomes")).collect()
        };
        rows.into_iter().enumerate().map(texts).collect()
    }
    /// The column of this name.
    fn find<'n>(&self, name: &'n str) -> Result<Place<'n>> {
        let columns = self.group.metadata().columns();
        let named = |column: &ColumnChunkMetaData| {
            column.column_path().parts().first().is_some_and(|part| part == name)
        };
        let Some(index) = columns.iter().position(named) else {
            let known: Vec<_> = self.schema.get_fields().iter().map(|field| field.name()).collect();
            return Err(Error::input(format!("there is no column `{name}`; there are {}", known.join(", "))));
        };
        let (column, descriptor) = (&columns[index], columns[index].column_descr());
        let compression = column.compression();
        if !matches!(compression, Compression::UNCOMPRESSED | Compression::ZSTD(_) | Compression::SNAPPY) {
            return Err(Error::input(format!(
                "column `{name}` is compressed with {compression}, which is not supported; write the file with zstd, \
                 snappy or uncompressed"
            )));
        }
        let unsigned = match descriptor.logical_type_ref() {
            Some(LogicalType::Integer(number)) => !number.is_signed,
            _ => matches!(
                descriptor.converted_type(),
                ConvertedType::UINT_8
                    | ConvertedType::UINT_16
                    | ConvertedType::UINT_32
                    | ConvertedType::UINT_64
            ),
        };
        Ok(Place {
            name,
            index,
            physical: descriptor.physical_type(),
            list: descriptor.max_rep_level() > 0,
            unsigned,
        })
    }
    fn column<T: DataType>(&self, at: &Place<'_>) -> Result<(Vec<T::T>, FoundLevels)>
    where
        ColumnReaderImpl<T>: Take,
    {
        let full = self.group.metadata().column(at.index).column_descr().max_def_level();
        let Some(mut reader) = ColumnReaderImpl::<T>::take(self.group.get_column_reader(at.index)?) else {
            return Err(Error::input(format!("column `{}` is not of type {}", at.name, at.physical)));
        };
        let (mut values, mut levels) = (Vec::with_capacity(self.rows.min(ROW_GROUP)), Levels::default());
        // Usually once is enough; the reader may give one page at a time.
        while reader
            .read_records(
                self.rows,
                (full > 0).then_some(&mut levels.definition),
                at.list.then_some(&mut levels.repetition),
                &mut values,
            )?
            .0
            > 0
        {}
        Ok((values, FoundLevels { definition: levels.definition, repetition: levels.repetition, full }))
    }
}

/// A column, and how it is stored.
struct Place<'n> {
    name: &'n str,
    index: usize,
    physical: Physical,
    list: bool,
    unsigned: bool,
}

struct FoundLevels {
    definition: Vec<i16>,
    repetition: Vec<i16>,
    /// The definition level of a value that is there.
    full: i16,
}

/// A column reader of a known type out of one of any type.
trait Take: Sized {
    fn take(reader: ColumnReader) -> Option<Self>;
}

macro_rules! take {
    ($($data_type:ident, $variant:ident;)*) => {
        $(impl Take for ColumnReaderImpl<$data_type> {
            fn take(reader: ColumnReader) -> Option<Self> {
                match reader {
                    ColumnReader::$variant(reader) => Some(reader),
                    _ => None,
                }
            }
        })*
    };
}

take! {
    BoolType, BoolColumnReader;
    FloatType, FloatColumnReader;
    Int32Type, Int32ColumnReader;
    Int64Type, Int64ColumnReader;
    DoubleType, DoubleColumnReader;
    ByteArrayType, ByteArrayColumnReader;
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use forethought_api::error::Code;
    use forethought_testkit::slow;

    use super::*;
    use crate::trajectories::tests::simple;

    #[test]
    fn more_rows_than_a_group_holds_are_no_trouble() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("data.parquet");
        let long = [simple("long", ROW_GROUP + 10), simple("short", 1)];
        write(&path, &long).expect("written");
        assert_eq!(read(&path).expect("read"), long);
    }

    #[test]
    fn a_byte_that_changed_is_noticed_or_does_no_harm() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("data.parquet");
        let all = [simple("one", 3), simple("two", 2)];
        write(&path, &all).expect("written");
        let whole = std::fs::read(&path).expect("bytes");
        let mut noticed = 0;
        for at in (0..whole.len()).step_by(slow(17, 3)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).expect("damage");
            match read(&path) {
                Ok(read) => assert_eq!(read, all, "byte {at}"),
                Err(error) => {
                    assert_eq!(error.code, Code::Input, "{error}");
                    noticed += usize::from(error.to_string().contains("not those that were written"));
                }
            }
        }
        assert!(noticed > 0, "nothing but the hash notices texts");
    }

    /// The value of a column's only row.
    enum Cell<'a> {
        Text(&'a [u8]),
        Number(i64),
        Small(i32),
        Float(f32),
        /// No value; the column has this type all the same.
        Nothing,
    }

    /// A file of one row as another program may write it: `column` is declared as `declared`, and holds `cell`.
    fn foreign(path: &Path, column: &str, declared: &str, cell: &Cell<'_>) {
        let ours = SCHEMA.lines().find(|line| {
            line.ends_with(&format!(" {column} (STRING);"))
                || line.contains(&format!(" {column}")) && !line.contains("LIST")
        });
        let schema = match column {
            "outcomes" => SCHEMA.replace("required binary element (STRING)", declared),
            _ => SCHEMA.replace(ours.expect("a column").trim(), declared),
        };
        let schema = Arc::new(parse_message_type(&schema).expect("a schema"));
        let file = File::create(path).expect("a file");
        let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
        let mut writer = SerializedFileWriter::new(file, schema.clone(), properties).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        for field in schema.get_fields() {
            let mut writer = group.next_column().expect("next").expect("a column");
            let list = field.name() == "outcomes";
            let (cell, present) = match (field.name() == column, cell) {
                (true, Cell::Nothing) => (cell, 0),
                (true, cell) => (cell, 1),
                (false, _) => (&Cell::Nothing, 1),
            };
            let levels = [present];
            let levels = (list || field.is_optional()).then_some(&levels[..]);
            let begins = list.then_some(&[0i16][..]);
            let one = usize::from(present == 1);
            match (cell, field.name()) {
                (Cell::Number(value), _) => writer.typed::<Int64Type>().write_batch(&[*value], levels, None),
                (Cell::Small(value), _) => writer.typed::<Int32Type>().write_batch(&[*value], levels, None),
                (Cell::Float(value), _) => writer.typed::<FloatType>().write_batch(&[*value], levels, None),
                (Cell::Text(text), _) => {
                    let text = ByteArray::from(text.to_vec());
                    writer.typed::<ByteArrayType>().write_batch(&[text], levels, begins)
                }
                _ if declared.contains("int32") && present == 0 => {
                    writer.typed::<Int32Type>().write_batch(&[], levels, begins)
                }
                (_, "task" | "seed" | "seat" | "step") => {
                    writer.typed::<Int64Type>().write_batch(&[0], None, None)
                }
                (_, "reward") => writer.typed::<DoubleType>().write_batch(&[0.0], None, None),
                (_, "terminated" | "truncated") => {
                    writer.typed::<BoolType>().write_batch(&[true], None, None)
                }
                _ => writer.typed::<ByteArrayType>().write_batch(
                    &vec![ByteArray::from("x"); one],
                    levels,
                    begins,
                ),
            }
            .expect("a value");
            writer.close().expect("a column");
        }
        group.close().expect("a group");
        writer.close().expect("a file");
    }

    #[test]
    fn files_of_other_programs_are_read_or_refused_by_row() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("foreign.parquet");
        let check = |column: &str, declared: &str, cell: &Cell<'_>| {
            foreign(&path, column, declared, cell);
            read(&path).map(|mut read| read.remove(0)).map_err(|error| error.to_string())
        };
        let step = |column: &str, declared: &str, cell: &Cell<'_>| {
            check(column, declared, cell).expect("read").steps.remove(0)
        };
        let text = "optional binary thought (STRING);";
        assert_eq!(step("thought", text, &Cell::Text(b"why not")).thought, "why not");
        assert_eq!(check("task", "required int32 task;", &Cell::Small(7)).expect("read").task, 7);
        let unsigned = "required int32 task (INTEGER(32, false));";
        assert_eq!(check("task", unsigned, &Cell::Small(-1)).expect("read").task, u64::from(u32::MAX));
        assert_eq!(step("reward", "required float reward;", &Cell::Float(0.5)).reward, 0.5);
        assert_eq!(step("reward", "optional int64 reward;", &Cell::Number(1)).reward, 1.0);
        // Lists that are all empty have no type of their own.
        let untyped = "optional int32 element (UNKNOWN)";
        assert_eq!(step("outcomes", untyped, &Cell::Nothing).outcomes, [""; 0]);

        for (column, declared, cell, why) in [
            ("thought", text, Cell::Nothing, "row 1: column `thought` has no value"),
            ("thought", text, Cell::Text(b"\xff"), "row 1: column `thought` holds text that is not UTF-8"),
            (
                "seat",
                "required int64 seat;",
                Cell::Number(-1),
                "row 1: column `seat` holds -1, which is below 0",
            ),
            ("seat", "required float seat;", Cell::Float(1.0), "df[\"seat\"].astype(\"uint64\")"),
            ("reward", "required float reward;", Cell::Float(f32::NAN), "row 1: column `reward` holds NaN"),
            (
                "state",
                "required int64 state;",
                Cell::Number(3),
                "column `state` should hold text, but is INT64",
            ),
        ] {
            let error = check(column, declared, &cell).expect_err(why);
            assert!(error.contains("foreign.parquet") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn rows_out_of_order_are_named() {
        let mut trajectories = vec![simple("a", 2)];
        let error = join(&mut trajectories, simple("a", 1), 3).expect_err("a gap").message;
        assert!(error.contains("step 3 of episode `a`, but step 2 was expected"), "{error}");
        assert!(join(&mut Vec::new(), simple("a", 1), 1).is_err());
        join(&mut trajectories, simple("a", 1), 0).expect("the same ids again begin a new trajectory");
        assert_eq!(trajectories.len(), 2);
    }
}
