// Multi-choice fields (可多选). Two designs were weighed: one column that holds a list of codes (short to write; two people who
// each add a choice collide, and whoever merges the lists has to guess what was removed), or one flag per choice, each a field and
// a group of its own: two people who choose different things write different cells, and never meet. The second. On the wire a
// flag that few rows set is a constant column with exceptions, so that forty choices cost little more than one.
//
// A flag is 1 where the choice is made and NULL where it is not, so that leaving a choice out writes nothing. Only the same choice,
// taken out here and made there unseen, is left to the policy; `union` lets it stand.

/// A field of several choices: what people see as one field, and the flags that it is made of.
package struct ChoiceField: Sendable {
    package let id: String
    package let title: String
    package let codes: String
    package let required: Bool
    package let note: String
    /// In the order of the code set: code, name, index of the flag in the form's fields.
    package let flags: [(code: String, name: String, field: Int)]

    /// What is chosen in a row, as people write it.
    package func shown(_ values: [Value]) -> String {
        flags.filter { values[$0.field] == .integer(1) }.map(\.name).joined(separator: "、")
    }

    /// The flags that a typed list stands for: those that it does not name are not chosen.
    package func values(_ typed: String) throws(EntryProblem) -> [Int: Value] {
        var values: [Int: Value] = [:]
        for flag in flags { values[flag.field] = .null }
        for part in typed.split(whereSeparator: { "、，,；;|/\n\r\n".contains($0) || $0.isWhitespace }) {
            guard let flag = flags.first(where: { $0.code == part || $0.name == part }) else {
                throw EntryProblem(
                    message: "\(title)没有“\(part)”这个选项", fix: "可多选，用顿号分开：\(flags.map(\.name).joined(separator: "、"))")
            }
            values[flag.field] = .integer(1)
        }
        return values
    }
}

extension Form {
    /// A multi-choice field by id or heading.
    package func choiceField(named name: String) -> ChoiceField? { choiceFields.first { $0.id == name || $0.title == name } }
}

/// A form's blocks with those of several choices cut into flags.
struct ChoiceExpansion {
    struct Pending {
        let block: Int
        let source: FieldTOML
    }

    private(set) var fields: [FieldTOML] = []
    /// For each field the `[[field]]` block that it comes from.
    private(set) var blocks: [Int] = []
    private(set) var pending: [Pending] = []
    private let codeSets: [String: CodeSet]

    /// - Throws: what is wrong with a block.
    init(_ source: [FieldTOML], codeSets: [String: CodeSet]) throws(Trouble) {
        self.codeSets = codeSets
        var cut: [(field: FieldTOML, block: Int)] = []
        for (block, field) in source.enumerated() {
            guard let choices = field.choices else {
                cut.append((field, block))
                continue
            }
            pending.append(Pending(block: block, source: field))
            cut += try Self.flags(field, choices, codeSets, block).map { ($0, block) }
        }
        // A choice that was added later has a number behind the others: columns stand in order of number.
        if !pending.isEmpty { cut.sort { $0.field.number < $1.field.number } }
        fields = cut.map(\.field)
        blocks = cut.map(\.block)
    }

    struct Trouble: Error {
        let block: Int
        let what: String
    }

    private static func flags(
        _ field: FieldTOML, _ choices: [String: Int], _ codeSets: [String: CodeSet], _ block: Int
    ) throws(Trouble) -> [FieldTOML] {
        func trouble(_ what: String) -> Trouble { Trouble(block: block, what: "'\(field.id)': \(what)") }
        guard field.type == .flag, field.group == nil, field.references == nil, field.fill == nil else {
            throw trouble("a field of several choices is of type flag, and has no group, reference or fill")
        }
        guard let codes = field.codes, let set = codeSets[codes] else { throw trouble("choices need the code set that names them") }
        guard Set(choices.keys) == Set(set.entries.map(\.code)) else {
            throw trouble("choices must number every code of \(codes) once: \(set.entries.map(\.code).joined(separator: ", "))")
        }
        guard choices.values.min() == field.number else { throw trouble("number is the smallest of its choices' numbers") }
        return set.entries.map { code, name in
            var flag = field
            (flag.number, flag.id, flag.title) = (choices[code]!, "\(field.id)_\(code)", "\(field.title)：\(name)")
            (flag.codes, flag.choices, flag.required) = (nil, nil, nil)
            return flag
        }
    }

    /// What people see as one field each.
    func choiceFields() -> [ChoiceField] {
        pending.map { entry in
            let source = entry.source
            let set = codeSets[source.codes!]!
            return ChoiceField(
                id: source.id, title: source.title, codes: source.codes!, required: source.required ?? false, note: source.note ?? "",
                flags: set.entries.map { code, name in
                    (code, name, fields.firstIndex { $0.number == source.choices![code]! }!)
                })
        }
    }
}
