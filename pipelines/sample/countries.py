"""Where the sample's customers live: names, places and telephone numbers, a short list per country.

The lists were written for this project. E-mail domains are the reserved ones of RFC 2606; telephone numbers have a valid
form, and nobody was asked whose they are.
"""

from __future__ import annotations

from dataclasses import dataclass

EMAIL_DOMAINS = ("example.com", "example.org", "example.net")


@dataclass(frozen=True, slots=True)
class Country:
    """One country. A name may be ``native|latin``, with ``_`` for a space in it; lists are separated by spaces (names) or
    commas (streets). In postal patterns ``#`` is a digit and ``@`` a letter.
    """

    code: str
    weight: float
    currency: str
    per_euro: float
    language: str
    given: str
    family: str
    places: tuple[tuple[str, str, str], ...]  # city, state, postal pattern
    streets: str
    number_first: bool
    dialling_code: str
    trunk_prefix: str
    mobile_prefixes: tuple[str, ...]
    mobile_digits: int  # of the national number


COUNTRIES = (
    Country(
        "GB", 22, "GBP", 0.86, "en",
        "Amelia Olivia Isla Ava Grace Freya Emily Poppy Niamh Siân Oliver Harry "
        "George Noah Jack Arthur Callum Owen Imran Priya",
        "Smith Jones Taylor Brown Williams Evans Walker Wright Hughes Green "
        "Hall Clarke Patel Khan Murphy O'Connor Campbell Reid",
        (("London", "", "E# #@@"), ("Manchester", "", "M# #@@"), ("Leeds", "", "LS# #@@"), ("Bristol", "", "BS# #@@"),
         ("Glasgow", "Scotland", "G# #@@"), ("Cardiff", "Wales", "CF# #@@"),
         ("Belfast", "Northern Ireland", "BT# #@@")),
        "High Street,Station Road,Church Lane,Victoria Road,Mill Lane,King's Road,Park Avenue,The Crescent", True,
        "44", "0", ("7400", "7511", "7712", "7890"), 10,
    ),
    Country(
        "US", 20, "USD", 1.09, "en",
        "Emma Sophia Mia Harper Evelyn Abigail Ella Camila Luna Aaliyah Liam "
        "Mason Ethan Logan Lucas Mateo Jayden Wyatt Omar José",
        "Johnson Miller Davis García Rodriguez Wilson Anderson Thomas Moore "
        "Martin Lee Thompson White López Harris Nguyen Young Hill",
        (("Austin", "TX", "787##"), ("Denver", "CO", "802##"), ("Seattle", "WA", "981##"), ("Chicago", "IL", "606##"),
         ("Atlanta", "GA", "303##"), ("Boston", "MA", "021##"), ("Portland", "OR", "972##"),
         ("San José", "CA", "951##")),
        "Main Street,Oak Avenue,Maple Drive,Washington Boulevard,2nd "
        "Street,Lakeview Terrace,Sunset Drive,Elm Street", True,
        "1", "1", ("201555", "212555", "305555", "415555", "512555", "617555"), 10,
    ),
    Country(
        "DE", 14, "EUR", 1.0, "de",
        "Anna Lena Leonie Mia Hannah Jule Katharina Änne Zoë Ayşe Jonas Lukas "
        "Felix Jürgen Björn Matthias Sören Emre Paul Götz",
        "Müller Schmidt Schneider Fischer Weber Wagner Becker Schäfer Koch "
        "Bauer Richter Klein Wolf Schröder Groß Yılmaz Krüger Vogt",
        (("Berlin", "Berlin", "10###"), ("München", "Bayern", "80###"), ("Köln", "Nordrhein-Westfalen", "50###"),
         ("Hamburg", "Hamburg", "20###"), ("Görlitz", "Sachsen", "028##"), ("Würzburg", "Bayern", "970##")),
        "Hauptstraße,Bahnhofstraße,Gartenweg,Schillerstraße,Am Mühlbach,Lindenallee,Goetheplatz,Bergstraße", False,
        "49", "0", ("151", "160", "170", "175"), 11,
    ),
    Country(
        "FR", 10, "EUR", 1.0, "fr",
        "Chloé Léa Manon Inès Zoé Camille Anaïs Élodie Océane Fatima Hugo Théo "
        "Jérôme François Loïc Benoît Gaël Noël Karim Luc",
        "Martin Bernard Dubois Lefèvre Moreau Laurent Girard Bonnet Dupré "
        "Fontaine Chevalier Garnier Benoît Béranger Traoré Roux",
        (("Paris", "Île-de-France", "750##"), ("Lyon", "Auvergne-Rhône-Alpes", "690##"), ("Besançon", "", "250##"),
         ("Marseille", "", "130##"), ("Nîmes", "Occitanie", "300##"), ("Rennes", "Bretagne", "350##")),
        "rue de la République,avenue Victor-Hugo,rue des Écoles,boulevard "
        "Pasteur,place de l'Église,chemin du Moulin", True,
        "33", "0", ("61", "62", "66", "68"), 9,
    ),
    Country(
        "ES", 7, "EUR", 1.0, "es",
        "Lucía María Sofía Nuria Begoña Inés Itziar Montserrat Paula Álvaro "
        "Iñaki Jesús Andrés Raúl Martín Óscar Pablo Jordi",
        "García Fernández González Rodríguez Martínez Muñoz Ibáñez Núñez Peña "
        "Vázquez Castaño Soler Etxeberria Ortiz Ruiz",
        (("Madrid", "Madrid", "280##"), ("Barcelona", "Cataluña", "080##"), ("A Coruña", "Galicia", "150##"),
         ("Málaga", "Andalucía", "290##"), ("Logroño", "La Rioja", "260##")),
        "Calle Mayor,Avenida de España,Plaza de la Constitución,Calle del Río,Paseo Marítimo,Calle Ñandú", False,
        "34", "", ("612", "622", "655", "689"), 9,
    ),
    Country(
        "IT", 6, "EUR", 1.0, "it",
        "Giulia Sofia Aurora Chiara Martina Noemi Lucrezia Beatrice Leonardo "
        "Matteo Niccolò Davide Andrea Riccardo Elia Cosimo",
        "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco "
        "Conti De_Luca Lo_Presti D'Angelo Cantù Niccolai",
        (("Roma", "RM", "001##"), ("Milano", "MI", "201##"), ("Torino", "TO", "101##"),
         ("Forlì", "FC", "4712#"), ("Bari", "BA", "701##")),
        "Via Roma,Corso Garibaldi,Via Dante Alighieri,Piazza della Libertà,Viale dei Tigli,Via San Niccolò", False,
        "39", "", ("312", "333", "347", "389"), 10,
    ),
    Country(
        "NL", 5, "EUR", 1.0, "nl",
        "Emma Tess Sanne Fleur Noor Lieke Zoë Daan Sem Bram Thijs Jurriën Mohammed Joost Ruben Koen",
        "Jansen Bakker Visser Smit Meijer Mulder Bos Vos Dekker Brouwer "
        "Hoekstra Kuipers Öztürk Van_Dijk De_Vries Van_der_Berg",
        (("Amsterdam", "Noord-Holland", "10## @@"), ("Utrecht", "Utrecht", "35## @@"),
         ("Groningen", "Groningen", "97## @@"),
         ("Den Haag", "Zuid-Holland", "25## @@")),
        "Dorpsstraat,Kerkstraat,Molenweg,Prins Hendriklaan,Oude Gracht,Stationsplein", False,
        "31", "0", ("61", "62", "64"), 9,
    ),
    Country(
        "PL", 6, "PLN", 4.3, "pl",
        "Anna Zofia Małgorzata Agnieszka Żaneta Łucja Wiśnia Jadwiga Jakub "
        "Paweł Michał Łukasz Wojciech Mirosław Józef Bartłomiej",
        "Nowak Kowalski Wiśniewski Wójcik Kamiński Lewandowski Zieliński "
        "Szymański Dąbrowski Kozłowski Jabłoński Król Wróbel Gołąb",
        (("Warszawa", "mazowieckie", "00-###"), ("Kraków", "małopolskie", "30-###"), ("Łódź", "łódzkie", "90-###"),
         ("Gdańsk", "pomorskie", "80-###"), ("Wrocław", "dolnośląskie", "50-###")),
        "ulica Długa,ulica Piękna,ulica Źródlana,aleja Róż,ulica Świętojańska,plac Żwirki", False,
        "48", "", ("512", "601", "691", "785"), 9,
    ),
    Country(
        "SE", 5, "SEK", 11.4, "sv",
        "Astrid Alva Märta Åsa Linnéa Maja Ingrid Sigrid Björn Nils Håkan Åke Gustav Elias Lars Göran",
        "Andersson Johansson Karlsson Nilsson Eriksson Larsson Öberg Åkerström "
        "Sjögren Lindström Bergström Hällgren Ek Dahl",
        (("Stockholm", "", "11# ##"), ("Göteborg", "", "41# ##"), ("Malmö", "", "21# ##"), ("Örebro", "", "70# ##")),
        "Storgatan,Kungsgatan,Björkvägen,Ängsgatan,Skolgatan,Åsvägen", False,
        "46", "0", ("70", "72", "73", "76"), 9,
    ),
    Country(
        "CN", 5, "CNY", 7.8, "zh",
        "伟|Wei 芳|Fang 娜|Na 秀英|Xiuying 敏|Min 静|Jing 丽|Li 强|Qiang 磊|Lei 洋|Yang "
        "艳|Yan 勇|Yong 杰|Jie 娟|Juan 涛|Tao 明|Ming",
        "李|Li 王|Wang 张|Zhang 刘|Liu 陈|Chen 杨|Yang 赵|Zhao 黄|Huang 周|Zhou 吴|Wu "
        "徐|Xu 孙|Sun 胡|Hu 朱|Zhu 高|Gao 林|Lin",
        (("北京", "北京市", "1000##"), ("上海", "上海市", "2000##"), ("成都", "四川省", "6100##"),
         ("广州", "广东省", "5100##")),
        "人民路,中山路,解放街,建设大道,长安街,和平路", False,
        "86", "", ("131", "138", "151", "186"), 11,
    ),
)  # fmt: skip
