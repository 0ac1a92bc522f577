//! Tables of text, for people.

/// Rows below a head, columns as wide as they must be; the first column is aligned left, figures right.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    columns(head, rows, |column| column > 0)
}

/// The same with all columns aligned left.
pub(crate) fn list<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    columns(head, rows, |_| false)
}

fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]], right: impl Fn(usize) -> bool) -> String {
    let rows = || std::iter::once(head).chain(rows.iter().map(|row| row.each_ref().map(String::as_str)));
    let mut widths = [0; N];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) = if right(column) { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.extend([if column > 0 { "  " } else { "" }, before, cell, after]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn figures_stand_right_and_names_left() {
        let rows = [["react".into(), "0.5".into()], ["ä".into(), "12.25".into()]];
        assert_eq!(super::table(["name", "score"], &rows), "name   score\nreact    0.5\nä      12.25\n");
        assert_eq!(super::list(["name", "score"], &rows), "name   score\nreact  0.5\nä      12.25\n");
    }
}
