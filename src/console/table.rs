//! Tables: each column says its head, and what it shows of an item.

use maud::{Markup, Render, html};

/// Builds a table with a row for each item, column by column.
pub(super) struct TableBuilder<'t, T> {
    label: &'t str,
    items: &'t [T],
    heads: Vec<Markup>,
    /// The cells of each row.
    rows: Vec<Vec<Markup>>,
}

impl<'t, T> TableBuilder<'t, T> {
    /// A table without columns. Screen readers announce its label.
    pub(super) fn new(label: &'t str, items: &'t [T]) -> TableBuilder<'t, T> {
        TableBuilder { label, items, heads: Vec::new(), rows: vec![Vec::new(); items.len()] }
    }

    /// Adds a column.
    pub(super) fn text<R: Render>(self, head: &str, cell: impl Fn(&'t T) -> R) -> TableBuilder<'t, T> {
        self.column(html! { th scope="col" { (head) } }, |item| html! { td { (cell(item)) } })
    }

    /// Adds a column of numbers.
    pub(super) fn number<R: Render>(self, head: &str, cell: impl Fn(&'t T) -> R) -> TableBuilder<'t, T> {
        self.column(html! { th.number scope="col" { (head) } }, |item| html! { td.number { (cell(item)) } })
    }

    /// Adds the column that names the rows.
    pub(super) fn row_head<R: Render>(self, head: &str, cell: impl Fn(&'t T) -> R) -> TableBuilder<'t, T> {
        self.column(html! { th scope="col" { (head) } }, |item| html! { th scope="row" { (cell(item)) } })
    }

    /// Adds a column of boxes. The form sends the values of the selected rows as this field. The box in the head selects
    /// all rows.
    pub(super) fn select_boxes(
        self,
        label: &str,
        field: &str,
        value: impl Fn(&'t T) -> &'t str,
    ) -> TableBuilder<'t, T> {
        let head = html! { th scope="col" { input type="checkbox" data-all aria-label=(label) hidden; } };
        self.column(head, |item| {
            let value = value(item);
            html! { td { input type="checkbox" name=(field) value=(value) aria-label={ "Select " (value) }; } }
        })
    }

    fn column(mut self, head: Markup, cell: impl Fn(&'t T) -> Markup) -> TableBuilder<'t, T> {
        self.heads.push(head);
        for (row, item) in self.rows.iter_mut().zip(self.items) {
            row.push(cell(item));
        }
        self
    }
}

/// A wide table scrolls sideways on a narrow screen.
impl<T> Render for TableBuilder<'_, T> {
    fn render(&self) -> Markup {
        html! {
            div.scroll tabindex="0" role="region" aria-label=(self.label) {
                table {
                    thead { tr { @for head in &self.heads { (head) } } }
                    tbody { @for row in &self.rows { tr { @for cell in row { (cell) } } } }
                }
            }
        }
    }
}
