// Collects row changes in order of seq and lays them out by form and column, one segment's worth at a time.

package struct SegmentBuilder {
    private var body = SegmentBody()
    private var stampIndex: [Stamp: Int32] = [:]
    private var lastStamp: (stamp: Stamp, index: Int32)?
    /// The form in hand; its columns are one a field of the form, in the form's order.
    private var open: (form: Form, changes: FormChanges, columns: [CellColumn], used: FieldMask)?
    private var sizer = SegmentSizer()
    /// Nothing more should be added to this segment.
    package var isFull: Bool { sizer.isFull }
    package var rawBytes: Int { sizer.rawBytes }
    package private(set) var cells = 0
    package private(set) var isEmpty = true
    /// UTF-8 bytes of all texts of the change that has most.
    package private(set) var heaviestTextBytes = 0

    package init() {}

    /// Adds a change. Rows of one form must come together; forms ascend by number.
    ///
    /// - Parameter cell: appends the value of a field (by index) to the column; called for the fields in `mask` alone.
    package mutating func add(
        form: Form, row: RowID, life: Life, mask: FieldMask, stamp: Stamp, placement: Placement? = nil,
        cell: (Int, inout CellColumn) -> Void
    ) {
        if open?.form.number != form.number { begin(form) }
        isEmpty = false
        open!.changes.rows.append(row)
        open!.changes.life.append(life)
        open!.changes.masks.append(mask)
        open!.changes.stamps.append(index(of: stamp))
        if let placement { open!.changes.placements.append(placement) }
        open!.used = open!.used | mask
        var (texts, textBytes, numbers) = (0, 0, 0)
        for (index, field) in form.fields.enumerated() {
            guard mask.contains(field.number) else {
                open!.columns[index].appendNull()
                continue
            }
            let before = open!.columns[index].bytes.count
            cell(index, &open!.columns[index])
            cells += 1
            if open!.columns[index].tags.last == CellColumn.Tag.text.rawValue {
                texts += 1
                textBytes += open!.columns[index].bytes.count - before
            } else {
                numbers += 1
            }
        }
        sizer.add(texts: texts, textBytes: textBytes, numbers: numbers, fields: form.fields.count)
        heaviestTextBytes = max(heaviestTextBytes, textBytes)
        if life != .unchanged { cells += 1 }
    }

    /// The body so far, and an empty builder; nil when nothing was added.
    package mutating func take() -> SegmentBody? {
        guard !isEmpty else { return nil }
        close()
        let done = body
        self = SegmentBuilder()
        return done
    }

    private mutating func begin(_ form: Form) {
        close()
        open = (
            form, FormChanges(form: form.number), Array(repeating: CellColumn(), count: form.fields.count), FieldMask()
        )
    }

    private mutating func close() {
        guard var done = open else { return }
        open = nil
        // Ascending by number; foreign fields stand behind the form's own.
        let used = done.form.fields.indices.filter { done.used.contains(done.form.fields[$0].number) }
        for index in used.sorted(by: { done.form.fields[$0].number < done.form.fields[$1].number }) {
            done.changes.fields.append(done.form.fields[index].number)
            done.changes.columns.append(done.columns[index])
        }
        body.forms.append(done.changes)
    }

    private mutating func index(of stamp: Stamp) -> Int32 {
        if let lastStamp, lastStamp.stamp == stamp { return lastStamp.index }
        let index =
            stampIndex[stamp]
            ?? {
                body.stamps.append(stamp)
                let new = Int32(body.stamps.count - 1)
                stampIndex[stamp] = new
                return new
            }()
        lastStamp = (stamp, index)
        return index
    }
}
