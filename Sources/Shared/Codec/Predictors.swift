// Prediction: a column that follows from other columns of the same changes is sent as its exceptions alone.
//
// The codec knows no fields and no SQL. Whoever has a catalogue gives it `Predictors`; sender and receiver must have the
// same one for each column that uses it, which the header's decoding hash proves: else the segment waits, unread. What
// the prediction is does not matter for correctness, for every cell is compared before it is left out.

/// How one column follows from others.
package struct Predictor: Sendable {
    /// The columns it is computed from; a change that lacks one of them is an exception.
    package let sources: FieldMask
    /// Spells out all that the result depends on: the expression, code tables, versions. Equal texts predict alike.
    package let identity: String
    /// The predicted cells of all changes, from the source columns by field number.
    package let predict: @Sendable (_ changes: Int, _ sources: [Int: CellColumn]) -> CellColumn

    package init(
        sources: FieldMask, identity: String,
        predict: @escaping @Sendable (_ changes: Int, _ sources: [Int: CellColumn]) -> CellColumn
    ) {
        self.sources = sources
        self.identity = identity
        self.predict = predict
    }
}

/// The predictors of a catalogue's fields.
package struct Predictors: Sendable {
    package static let none = Predictors()

    private struct FormPredictors {
        var byField: [Int: Predictor] = [:]
        /// Sources before what is computed from them.
        var order: [Int] = []
    }
    private var forms: [FormNumber: FormPredictors] = [:]

    private init() {}

    /// - Parameter forms: per form its predictors by field number. One that would close a circle is left out.
    package init(_ forms: [FormNumber: [Int: Predictor]]) {
        for (number, all) in forms {
            var kept = FormPredictors()
            for (field, predictor) in all.sorted(by: { $0.key < $1.key }) {
                // All that the sources rest on so far; those kept have no circle, so this ends.
                var reached = FieldMask()
                var rest = predictor.sources.fields
                while let source = rest.popLast() {
                    guard !reached.contains(source) else { continue }
                    reached.insert(source)
                    rest += kept.byField[source]?.sources.fields ?? []
                }
                if !reached.contains(field) { kept.byField[field] = predictor }
            }
            var placed = Set<Int>()
            func place(_ field: Int) {
                guard let predictor = kept.byField[field], placed.insert(field).inserted else { return }
                for source in predictor.sources.fields { place(source) }
                kept.order.append(field)
            }
            for field in kept.byField.keys.sorted() { place(field) }
            self.forms[number] = kept
        }
    }

    /// Over all of them: two catalogues with equal digests read each other's predicted columns.
    package var digest: ContentHash {
        var text = ""
        for (form, predictors) in forms.sorted(by: { $0.key < $1.key }) {
            for (field, predictor) in predictors.byField.sorted(by: { $0.key < $1.key }) { text += "\(form).\(field) \(predictor.identity)\n" }
        }
        return ContentHash(of: Array(text.utf8))
    }

    package subscript(form: FormNumber, field: Int) -> Predictor? { forms[form]?.byField[field] }
    func order(_ form: FormNumber) -> [Int] { forms[form]?.order ?? [] }

    /// One column of a segment that is predicted.
    struct Use: Hashable {
        let form: FormNumber
        let field: Int
    }

    /// What a segment with these predicted columns names in its header; nil if one of them has no predictor here.
    func decodingHash(of uses: [Use]) -> ContentHash? {
        guard !uses.isEmpty else { return SegmentCodec.decodingHash }
        var text = "zzsync segment format 1: predicted columns\n"
        for use in uses {
            guard let predictor = self[use.form, use.field] else { return nil }
            text += "\(use.form).\(use.field) \(predictor.identity)\n"
        }
        return ContentHash(of: Array(text.utf8))
    }
}
