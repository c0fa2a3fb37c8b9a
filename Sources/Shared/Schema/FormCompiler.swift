// One form file → one `Form`: groups cut, references and code sets checked, and the rules that follow from a field's
// attributes (required, format, length, code, reference, unique key) written as SQL like every other rule.

struct FormCompiler {
    let file: CatalogueFile
    /// Its fields of several choices are cut into flags.
    let toml: FormTOML
    let codeSets: [String: CodeSet]
    let forms: [String: FormTOML]
    private let choices: ChoiceExpansion

    init(file: CatalogueFile, toml: FormTOML, codeSets: [String: CodeSet], forms: [String: FormTOML]) throws(Failure) {
        self.file = file
        self.codeSets = codeSets
        self.forms = forms
        do throws(ChoiceExpansion.Trouble) { choices = try ChoiceExpansion(toml.field, codeSets: codeSets) } catch {
            let line = lineOf(table: "field", index: error.block, key: "choices", in: file.text) ?? 0
            throw Failure(.usage, "\(file.name), line \(line): \(error.what).", next: "Mend it there.")
        }
        var cut = toml
        cut.field = choices.fields
        self.toml = cut
    }

    func compile() throws(Failure) -> Form {
        guard toml.number > 0 else { throw failure("number \(toml.number): a form's number is 1 or more") }
        guard toml.number < SystemForms.firstNumber, !toml.id.hasPrefix(SystemForms.idPrefix), !toml.id.hasPrefix(Form.foreignPrefix) else {
            throw failure(
                "number \(toml.number), id '\(toml.id)': numbers from \(SystemForms.firstNumber) and ids in \(SystemForms.idPrefix) "
                    + "or \(Form.foreignPrefix) are zzsync's own")
        }
        try checkFields()
        let fields = try toml.field.map { (raw) throws(Failure) in try field(raw) }
        let key = try toml.key.map { (id) throws(Failure) in
            guard let index = toml.field.firstIndex(where: { $0.id == id }) else {
                throw failure("key names '\(id)', which is no field of the form")
            }
            return index
        }
        var rules: [Rule] = []
        for (index, field) in fields.enumerated() { rules += fieldRules(field, isKey: key.contains(index)) }
        if !key.isEmpty { rules.append(uniqueKey(key.map { fields[$0] })) }
        let several = choices.choiceFields()
        rules += several.filter(\.required).map { anyChosen($0, fields) }
        rules += (toml.rule ?? []).map(authored)
        var form = Form(
            number: toml.number, id: toml.id, module: toml.module, section: toml.section, title: toml.title,
            template: toml.template, importOrder: toml.import_order, prerequisites: toml.prerequisites,
            levels: toml.levels, fields: fields, groups: groups(), key: key, keyScope: toml.key_scope ?? .school, rules: rules,
            example: toml.example.mapValues(\.value))
        form.choiceFields = several
        for group in form.groups {
            guard let objection = form.objection(to: group.policy, group) else { continue }
            throw failure("policy \(group.policy) of '\(group.name)': \(objection)", table: "field", index: group.fields[0], key: "policy")
        }
        return form
    }

    private func failure(_ what: String, table: String? = nil, index: Int = 0, key: String? = nil) -> Failure {
        let block = table == "field" ? choices.blocks[index] : index
        let line = table.flatMap { lineOf(table: $0, index: block, key: key, in: file.text) }
        return Failure(.usage, "\(file.name)\(line.map { ", line \($0)" } ?? ""): \(what).", next: "Mend it there.")
    }

    private func checkFields() throws(Failure) {
        var seen: [String: Int] = [:]
        for (index, field) in toml.field.enumerated() {
            guard (1...FieldMask.fieldNumberMax).contains(field.number) else {
                throw failure("field number \(field.number) is not 1 to 126", table: "field", index: index, key: "number")
            }
            guard index == 0 || field.number > toml.field[index - 1].number else {
                throw failure("field numbers must ascend", table: "field", index: index, key: "number")
            }
            for word in [field.id, field.title] {
                guard seen.updateValue(index, forKey: word) == nil else {
                    throw failure("'\(word)' stands twice", table: "field", index: index)
                }
            }
            guard field.id.utf8.allSatisfy({ $0 == 0x5F || 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 }), field.id != "id",
                !field.id.hasPrefix("_"), !field.id.hasPrefix("zz_")
            else { throw failure("'\(field.id)' is no column name", table: "field", index: index, key: "id") }
        }
    }

    private func field(_ raw: FieldTOML) throws(Failure) -> Field {
        let index = toml.field.firstIndex { $0.id == raw.id }!
        if raw.type == .code {
            guard let codes = raw.codes, codeSets[codes] != nil else {
                throw failure(
                    "code set '\(raw.codes ?? "")' does not exist; there are \(codeSets.keys.sorted().joined(separator: ", "))",
                    table: "field", index: index, key: "codes")
            }
        }
        var target: (form: String, field: String)?
        if let references = raw.references {
            let parts = references.split(separator: ".")
            let form = parts.dropLast().joined(separator: ".")
            guard let other = forms[form], other.field.contains(where: { $0.id == parts.last! }) else {
                throw failure(
                    "'\(references)' names no field of the catalogue", table: "field", index: index, key: "references")
            }
            target = (form, String(parts.last!))
        }
        return Field(
            number: raw.number, id: raw.id, title: raw.title, type: raw.type, length: raw.length, codes: raw.codes,
            references: target, required: raw.required ?? false, owner: raw.owner ?? "school",
            privacy: raw.privacy ?? "internal", fill: raw.fill, note: raw.note ?? "", status: raw.status)
    }

    /// Fields that share a group name merge together; a field without one is alone.
    private func groups() -> [Group] {
        var order: [String] = []
        var members: [String: [Int]] = [:]
        for (index, field) in toml.field.enumerated() {
            let name = field.group ?? field.id
            if members[name] == nil { order.append(name) }
            members[name, default: []].append(index)
        }
        return order.map { name in
            let fields = members[name]!
            var mask = FieldMask()
            for index in fields { mask.insert(toml.field[index].number) }
            return Group(
                number: toml.field[fields[0]].number, name: name, fields: fields, mask: mask,
                policy: toml.field[fields[0]].policy ?? .manual, owner: Owner(toml.field[fields[0]].owner ?? Tier.school.rawValue))
        }
    }

    // MARK: rules

    private func authored(_ raw: RuleTOML) -> Rule {
        let assertion = "NOT (\(raw.assert))"
        return Rule(
            id: raw.id, level: raw.level, kind: .authored,
            condition: raw.when.map { "(\($0)) AND \(assertion)" } ?? assertion, fields: raw.fields,
            message: raw.message, fix: raw.fix, breaks: (raw.breaks ?? [:]).mapValues(\.value))
    }

    private func fieldRules(_ field: Field, isKey: Bool) -> [Rule] {
        let column = "this.\(field.id)"
        var rules: [Rule] = []
        func add(_ name: String, _ condition: String, _ message: String, _ fix: String, _ breaks: Value) {
            rules.append(
                Rule(
                    id: "\(toml.id).\(field.id).\(name)", level: .error, kind: .field, condition: condition,
                    fields: [field.id], message: message, fix: fix, breaks: [field.id: breaks]))
        }
        if field.required || isKey {
            add("required", "\(column) IS NULL OR \(column) = ''", "\(field.title)为必填项", "请填写\(field.title)", .null)
        }
        if let length = field.length {
            add(
                "length", "length(\(column)) > \(length)", "\(field.title)超过\(length)个字符", "请缩短\(field.title)",
                .text(String(repeating: "长", count: length + 1)))
        }
        switch field.type {
        case .date:
            // With a modifier, for date('2008-02-30') alone comes back as it went in.
            add(
                "format", "\(column) IS NOT date(\(column), '+0 days') AND \(column) IS NOT NULL",
                "\(field.title)不是有效日期", "请按YYYY-MM-DD填写，例如2008-09-01", .text("2008-02-30"))
        case .yearMonth:
            add(
                "format", "(\(column) || '-01') IS NOT date(\(column) || '-01') AND \(column) IS NOT NULL",
                "\(field.title)不是有效年月", "请按YYYY-MM填写，例如2024-09", .text("2024-13"))
        case .code:
            add(
                "code", "NOT in_code_set('\(field.codes!)', \(column))", "\(field.title)不在代码表\(field.codes!)中",
                "请从下拉列表中选择", .text("不存在的代码"))
        case .region:
            add(
                "format", "\(column) NOT GLOB '[0-9][0-9][0-9][0-9][0-9][0-9]'", "\(field.title)不是6位行政区划代码",
                "请填写6位数字的行政区划代码（GB/T 2260）", .text("4101"))
        case .flag:
            add("format", "\(column) NOT IN (0, 1)", "\(field.title)只能是0或1", "是填1，否填0", .integer(2))
        case .text, .integer, .decimal, .phone, .idNumber: break
        }
        if let (form, other) = field.references {
            let table = form.split(separator: ".").joined(separator: "_")
            rules.append(
                Rule(
                    id: "\(toml.id).\(field.id).reference", level: .error, kind: .reference(form: form),
                    condition: "\(column) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM \(table) AS other WHERE other.\(other) = \(column))",
                    fields: [field.id], message: "\(field.title)在正式库“\(forms[form]!.title)”中不存在",
                    fix: "请先录入\(forms[form]!.title)，或改正\(field.title)", breaks: [field.id: .text("不存在的引用")]))
        }
        return rules
    }

    private func anyChosen(_ field: ChoiceField, _ fields: [Field]) -> Rule {
        let none = field.flags.map { "coalesce(this.\(fields[$0.field].id), 0) = 0" }.joined(separator: " AND ")
        return Rule(
            id: "\(toml.id).\(field.id).required", level: .error, kind: .field, condition: none,
            fields: field.flags.map { fields[$0.field].id }, message: "\(field.title)为必填项", fix: "请至少选一项",
            breaks: Dictionary(uniqueKeysWithValues: field.flags.map { (fields[$0.field].id, .null) }))
    }

    private func uniqueKey(_ key: [Field]) -> Rule {
        let table = toml.id.split(separator: ".").joined(separator: "_")
        let equal = key.map { "other.\($0.id) = this.\($0.id)" }.joined(separator: " AND ")
        let titles = key.map(\.title).joined(separator: "、")
        return Rule(
            id: "\(toml.id).unique", level: .error, kind: .uniqueKey,
            condition: "EXISTS (SELECT 1 FROM \(table) AS other WHERE \(equal) AND other.id <> this.id)",
            fields: key.map(\.id), message: "数据库已存在记录：\(titles)重复", fix: "请核对\(titles)；若同一对象录了两行，请删除其中一行，或等上级枢纽决定",
            breaks: [:])
    }
}
