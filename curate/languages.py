"""Names of languages: ISO 639-1 and 639-3 codes and the English name, for labels of any identifier of languages."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

# ISO 639-1 code, 639-3 code (or macrolanguage), name.
WITH_TWO_LETTERS = """
aa aar Afar|ab abk Abkhazian|ae ave Avestan|af afr Afrikaans|ak aka Akan|am amh Amharic|an arg Aragonese
ar ara Arabic|as asm Assamese|av ava Avaric|ay aym Aymara|az aze Azerbaijani|ba bak Bashkir|be bel Belarusian
bg bul Bulgarian|bh bih Bihari languages|bi bis Bislama|bm bam Bambara|bn ben Bengali|bo bod Tibetan
br bre Breton|bs bos Bosnian|ca cat Catalan|ce che Chechen|ch cha Chamorro|co cos Corsican|cr cre Cree
cs ces Czech|cu chu Church Slavic|cv chv Chuvash|cy cym Welsh|da dan Danish|de deu German|dv div Dhivehi
dz dzo Dzongkha|ee ewe Ewe|el ell Greek|en eng English|eo epo Esperanto|es spa Spanish|et est Estonian
eu eus Basque|fa fas Persian|ff ful Fulah|fi fin Finnish|fj fij Fijian|fo fao Faroese|fr fra French
fy fry Western Frisian|ga gle Irish|gd gla Scottish Gaelic|gl glg Galician|gn grn Guarani|gu guj Gujarati
gv glv Manx|ha hau Hausa|he heb Hebrew|hi hin Hindi|ho hmo Hiri Motu|hr hrv Croatian|ht hat Haitian
hu hun Hungarian|hy hye Armenian|hz her Herero|ia ina Interlingua|id ind Indonesian|ie ile Interlingue
ig ibo Igbo|ii iii Sichuan Yi|ik ipk Inupiaq|io ido Ido|is isl Icelandic|it ita Italian|iu iku Inuktitut
ja jpn Japanese|jv jav Javanese|ka kat Georgian|kg kon Kongo|ki kik Kikuyu|kj kua Kuanyama|kk kaz Kazakh
kl kal Kalaallisut|km khm Khmer|kn kan Kannada|ko kor Korean|kr kau Kanuri|ks kas Kashmiri|ku kur Kurdish
kv kom Komi|kw cor Cornish|ky kir Kirghiz|la lat Latin|lb ltz Luxembourgish|lg lug Ganda|li lim Limburgish
ln lin Lingala|lo lao Lao|lt lit Lithuanian|lu lub Luba-Katanga|lv lav Latvian|mg mlg Malagasy
mh mah Marshallese|mi mri Maori|mk mkd Macedonian|ml mal Malayalam|mn mon Mongolian|mr mar Marathi|ms msa Malay
mt mlt Maltese|my mya Burmese|na nau Nauru|nb nob Norwegian Bokmål|nd nde North Ndebele|ne nep Nepali
ng ndo Ndonga|nl nld Dutch|nn nno Norwegian Nynorsk|no nor Norwegian|nr nbl South Ndebele|nv nav Navajo
ny nya Chichewa|oc oci Occitan|oj oji Ojibwa|om orm Oromo|or ori Odia|os oss Ossetian|pa pan Panjabi|pi pli Pali
pl pol Polish|ps pus Pashto|pt por Portuguese|qu que Quechua|rm roh Romansh|rn run Rundi|ro ron Romanian
ru rus Russian|rw kin Kinyarwanda|sa san Sanskrit|sc srd Sardinian|sd snd Sindhi|se sme Northern Sami
sg sag Sango|sh hbs Serbo-Croatian|si sin Sinhala|sk slk Slovak|sl slv Slovenian|sm smo Samoan|sn sna Shona
so som Somali|sq sqi Albanian|sr srp Serbian|ss ssw Swati|st sot Southern Sotho|su sun Sundanese|sv swe Swedish
sw swa Swahili|ta tam Tamil|te tel Telugu|tg tgk Tajik|th tha Thai|ti tir Tigrinya|tk tuk Turkmen|tl tgl Tagalog
tn tsn Tswana|to ton Tonga|tr tur Turkish|ts tso Tsonga|tt tat Tatar|tw twi Twi|ty tah Tahitian|ug uig Uighur
uk ukr Ukrainian|ur urd Urdu|uz uzb Uzbek|ve ven Venda|vi vie Vietnamese|vo vol Volapük|wa wln Walloon
wo wol Wolof|xh xho Xhosa|yi yid Yiddish|yo yor Yoruba|za zha Zhuang|zh zho Chinese|zu zul Zulu
"""

# Codes of three letters alone: those of fastText's lid.176, and individual languages that larger models tell apart.
WITH_THREE_LETTERS = """
ace Achinese|als Tosk Albanian|arb Standard Arabic|ary Moroccan Arabic|arz Egyptian Arabic|ast Asturian
azb South Azerbaijani|azj North Azerbaijani|bar Bavarian|bcl Central Bikol|bpy Bishnupriya|bxr Russia Buriat
cbk Chavacano|ceb Cebuano|ckb Central Kurdish|cmn Mandarin Chinese|crh Crimean Tatar|diq Dimli|dsb Lower Sorbian
dty Dotyali|ekk Standard Estonian|eml Emilian-Romagnol|ext Extremaduran|fil Filipino|fuv Nigerian Fulfulde
gcf Guadeloupean Creole|gcr Guianese Creole|gug Paraguayan Guaraní|grc Ancient Greek|guw Gun|hbo Ancient Hebrew
kab Kabyle|lij Ligurian|ltg Latgalian|nso Northern Sotho|pcm Nigerian Pidgin|sdh Southern Kurdish
uzs Southern Uzbek|frr Northern Frisian|gom Goan Konkani|gsw Swiss German|hif Fiji Hindi|hsb Upper Sorbian
ilo Iloko|jbo Lojban|khk Halh Mongolian|kmr Northern Kurdish|krc Karachay-Balkar|lez Lezghian|lmo Lombard
lrc Northern Luri|lvs Standard Latvian|mai Maithili|mhr Eastern Mari|min Minangkabau|mrj Western Mari
mwl Mirandese|myv Erzya|mzn Mazanderani|nah Nahuatl languages|nap Neapolitan|nds Low German|new Newari
npi Nepali (individual language)|ory Odia (individual language)|pam Pampanga|pbt Southern Pashto
pes Iranian Persian|pfl Pfaelzisch|plt Plateau Malagasy|pms Piemontese|pnb Western Panjabi|prs Dari
quy Ayacucho Quechua|rue Rusyn|sah Yakut|scn Sicilian|sco Scots|swh Swahili (individual language)|tyv Tuvinian
uzn Northern Uzbek|vec Venetian|vep Veps|vls Vlaams|war Waray|wuu Wu Chinese|xal Kalmyk|xmf Mingrelian
ydd Eastern Yiddish|yue Yue Chinese|zsm Standard Malay|und undetermined|zxx no linguistic content
mul multiple languages
"""


class Code(NamedTuple):
    """A language: its code of two letters, or of three if there is none; of three; English name, "" if not known."""

    shortest: str
    three: str
    name: str


@cache
def _known() -> dict[str, Code]:
    codes = {}
    for entry in _entries(WITH_TWO_LETTERS):
        two, three, name = entry.split(" ", 2)
        codes[two] = codes[three] = Code(two, three, name)
    for entry in _entries(WITH_THREE_LETTERS):
        three, name = entry.split(" ", 1)
        codes[three] = Code(three, three, name)
    return codes


def _entries(table: str) -> list[str]:
    return table.strip().replace("\n", "|").split("|")


def code(label: str) -> Code:
    """What is known of an identifier's label: `de`, `deu`, `deu_Latn`, `zh-Hans`.

    >>> code("deu_Latn"), code("yue"), code("tlh_Latn")
    (Code(shortest='de', three='deu', name='German'), Code(shortest='yue', three='yue', name='Yue Chinese'), \
Code(shortest='tlh', three='tlh', name=''))
    """
    plain = label.replace("-", "_").partition("_")[0].lower()
    return _known().get(plain, Code(plain, plain, ""))
