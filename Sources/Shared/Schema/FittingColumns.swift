// Whether values that came over the wire can stand in the columns of this version of the catalogue as they are. SQLite would turn the
// text 0044 into the number 44 without a word.

extension CellColumn {
    /// Every cell can be stored in a STRICT column of this type unchanged.
    package func fits(_ type: FieldType) -> Bool {
        let allowed: [Tag] =
            switch type.sql {
            case "INTEGER": [.null, .integer]
            case "REAL": [.null, .integer, .real]
            default: [.null, .text]
            }
        let bits = allowed.reduce(UInt8(0)) { $0 | 1 << $1.rawValue }
        return tags.allSatisfy { bits >> $0 & 1 == 1 }
    }
}

extension SegmentBody {
    /// - Throws: `Failure(.refused)` naming the first field of which a value is of another kind than its column here. Nothing was applied,
    ///   and a retry is safe.
    package func checkFits(_ catalogue: Catalogue) throws(Failure) {
        for changes in forms {
            guard let form = catalogue[number: changes.form] else { continue }
            for (number, column) in zip(changes.fields, changes.columns) {
                guard let field = form.fields.first(where: { $0.number == number }), !field.isForeign, !column.fits(field.type) else { continue }
                throw Failure(
                    .refused, "The hub's page has values of \(field.title) (\(form.path)) that are no \(field.type.rawValue), as the catalogue here has it.",
                    next: "Nothing was applied: work with the version of the catalogue that the hub has (--catalogue), and sync again.")
            }
        }
    }
}
