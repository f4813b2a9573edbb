package maps_test

import "strings"

// resource takes the facts of one resource by its type.
func (b *facts) resource(typ string, r object) {
	switch typ {
	case "Patient":
		b.patient(r)
	case "RelatedPerson", "Practitioner", "Organization", "Location", "PractitionerRole":
		b.party(r)
	case "Encounter":
		b.encounter(r)
	case "Observation":
		b.observation(r)
	case "DiagnosticReport", "ServiceRequest", "Specimen":
		b.order(r)
	case "Coverage", "Condition", "Procedure", "AllergyIntolerance":
		b.clinical(r)
	case "Appointment", "DocumentReference", "Immunization":
		b.other(r)
	case "MedicationRequest", "MedicationDispense":
		b.medication(r)
	}
}

func (b *facts) patient(r object) {
	b.party(r)
	b.texts("gender", r, "gender")
	b.days("birthDate", r, "birthDate")
	b.names("contact.name", r, "contact.name")
	b.concept("contact.relationship", r, "contact.relationship")
	b.telecoms("contact.telecom", r, "contact.telecom")
	b.days("deceased", r, "deceasedDateTime")
	b.texts("deceasedBoolean", r, "deceasedBoolean")
	b.texts("multipleBirthInteger", r, "multipleBirthInteger")
	b.concept("maritalStatus", r, "maritalStatus")
	b.concept("language", r, "communication.language")
	b.refs("generalPractitioner", r, "generalPractitioner")
	for _, ext := range objects(r, "extension") {
		url := str(ext, "url")
		for _, kind := range []string{"race", "ethnicity"} {
			if strings.Contains(url, kind) {
				b.texts(kind, ext, "extension.valueCoding.code")
				b.texts(kind, ext, "valueCodeableConcept.coding.code")
				b.texts(kind, ext, "extension.valueCodeableConcept.coding.code")
			}
		}
	}
}

func (b *facts) party(r object) {
	b.identifiers("identifier", r, "identifier")
	if _, text := r["name"].(string); text {
		b.texts("name", r, "name")
	} else {
		b.names("name", r, "name")
	}
	b.addresses("address", r, "address")
	b.telecoms("telecom", r, "telecom")
	b.concept("relationship", r, "relationship")
	b.concept("type", r, "type")
}

func (b *facts) encounter(r object) {
	b.identifiers("identifier", r, "identifier")
	b.concept("class", r, "class")
	b.concept("type", r, "type")
	b.concept("serviceType", r, "serviceType")
	b.concept("reason", r, "reasonCode")
	b.concept("admitSource", r, "hospitalization.admitSource")
	b.concept("dischargeDisposition", r, "hospitalization.dischargeDisposition")
	b.refs("location", r, "location.location")
	b.refs("participant", r, "participant.individual")
	b.concept("participant.type", r, "participant.type")
	b.period("period", r, "period")
	b.refs("serviceProvider", r, "serviceProvider")
}

func (b *facts) observation(r object) {
	b.identifiers("identifier", r, "identifier")
	b.texts("status", r, "status")
	b.concept("code", r, "code")
	b.values("value", r)
	b.when("effective", r, "effective")
	b.concept("interpretation", r, "interpretation")
	b.concept("bodySite", r, "bodySite")
	b.concept("method", r, "method")
	b.texts("note", r, "note.text")
	b.texts("referenceRange", r, "referenceRange.text")
	b.refs("performer", r, "performer")
	b.refs("specimen", r, "specimen")
	for _, c := range objects(r, "component") {
		b.concept("component.code", c, "code")
		b.values("component.value", c)
	}
}

func (b *facts) order(r object) {
	b.identifiers("identifier", r, "identifier")
	b.identifiers("accession", r, "accessionIdentifier")
	b.texts("status", r, "status")
	b.concept("code", r, "code")
	b.concept("type", r, "type")
	b.when("effective", r, "effective")
	b.days("issued", r, "issued")
	b.days("authoredOn", r, "authoredOn")
	b.when("occurrence", r, "occurrence")
	b.concept("reasonCode", r, "reasonCode")
	b.texts("note", r, "note.text")
	b.texts("note", r, "patientInstruction")
	b.texts("presentedForm.url", r, "presentedForm.url")
	for _, name := range []string{"result", "resultsInterpreter", "requester", "performer", "specimen"} {
		b.refs(name, r, name)
	}
	b.when("collected", r["collection"], "collected")
	b.days("receivedTime", r, "receivedTime")
	b.concept("bodySite", r, "collection.bodySite")
	b.concept("method", r, "collection.method")
	b.quantity("quantity", r, "collection.quantity")
	b.concept("condition", r, "condition")
}

func (b *facts) clinical(r object) {
	b.identifiers("identifier", r, "identifier")
	b.texts("class", r, "class.value")
	b.refs("payor", r, "payor")
	b.period("period", r, "period")
	b.concept("relationship", r, "relationship")
	b.texts("subscriberId", r, "subscriberId")
	if _, text := r["type"].(string); text {
		b.texts("type", r, "type")
	} else {
		b.concept("type", r, "type")
	}
	b.concept("code", r, "code")
	b.when("onset", r, "onset")
	b.days("recordedDate", r, "recordedDate")
	b.when("performed", r, "performed")
	b.concept("manifestation", r, "reaction.manifestation")
	b.texts("severity", r, "reaction.severity")
}

func (b *facts) other(r object) {
	b.identifiers("identifier", r, "identifier")
	b.identifiers("identifier", r, "masterIdentifier")
	b.concept("type", r, "type")
	b.texts("description", r, "description")
	b.refs("author", r, "author")
	b.concept("appointmentType", r, "appointmentType")
	b.texts("comment", r, "comment")
	b.days("start", r, "start")
	b.days("end", r, "end")
	b.texts("minutesDuration", r, "minutesDuration")
	b.refs("participant", r, "participant.actor")
	b.concept("vaccineCode", r, "vaccineCode")
	b.quantity("doseQuantity", r, "doseQuantity")
	b.days("expirationDate", r, "expirationDate")
	b.concept("fundingSource", r, "fundingSource")
	b.texts("lotNumber", r, "lotNumber")
	b.refs("manufacturer", r, "manufacturer")
	b.when("occurrence", r, "occurrence")
	b.refs("performer", r, "performer.actor")
	b.concept("programEligibility", r, "programEligibility")
	b.concept("reportOrigin", r, "reportOrigin")
	b.concept("route", r, "route")
	b.concept("site", r, "site")
}

func (b *facts) medication(r object) {
	b.identifiers("identifier", r, "identifier")
	b.concept("medication", r, "medicationCodeableConcept")
	for _, ref := range objects(r, "medicationReference") {
		b.concept("medication", b.resolve(str(ref, "reference")), "code")
	}
	b.days("authoredOn", r, "authoredOn")
	b.refs("requester", r, "requester")
	b.quantity("dispense.quantity", r, "dispenseRequest.quantity")
	b.texts("dispense.refills", r, "dispenseRequest.numberOfRepeatsAllowed")
	b.quantity("quantity", r, "quantity")
	b.days("whenHandedOver", r, "whenHandedOver")
	for _, d := range objects(r, "dosageInstruction") {
		b.concept("dosage.route", d, "route")
		b.quantity("dosage.dose", d, "doseAndRate.doseQuantity")
		b.quantity("dosage.dose.low", d, "doseAndRate.doseRange.low")
		b.quantity("dosage.dose.high", d, "doseAndRate.doseRange.high")
	}
}
