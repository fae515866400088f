"""The URLs of the ERP's pages."""

from books import back_office_views as office
from books import views
from django.conf import settings
from django.urls import include, path
from django.views.static import serve

_INVOICE = "<slug:slug>/invoices/<slug:number>"
_CUSTOMER = "<slug:slug>/customers/<int:key>"

urlpatterns = [
    path("", include("moorage_django.urls")),
    path("static/<path:path>", serve, {"document_root": settings.PAGES / "static"}),
    path("", views.companies),
    path("<slug:slug>/", views.invoices),
    path("<slug:slug>/customers/", views.customers),
    path(f"{_CUSTOMER}/", views.customer),
    path(f"{_CUSTOMER}/contract", office.send_contract),
    path(f"{_CUSTOMER}/contract/state", office.follow_contract),
    path(f"{_CUSTOMER}/contract.pdf", office.signed_contract),
    path(f"{_CUSTOMER}/vat-number", office.check_vat_number),
    path("<slug:slug>/log/", views.log),
    path(f"{_INVOICE}/", views.invoice),
    path(f"{_INVOICE}/pay", views.pay),
    path(f"{_INVOICE}/back/<int:attempt>/", views.return_from_bank),
    path(f"{_INVOICE}/look-up", views.look_up),
    path(f"{_INVOICE}/shipping/", views.shipping),
    path(f"{_INVOICE}/ship", views.buy_label),
    path(f"{_INVOICE}/track", views.track),
    path(f"{_INVOICE}/label.pdf", views.label),
    path(f"{_INVOICE}/mail", views.mail),
    path(f"{_INVOICE}/e-invoice", office.send_invoice),
    path(f"{_INVOICE}/e-invoice/state", office.follow_invoice),
    path("<slug:slug>/bank/", office.bank),
    path("<slug:slug>/bank/connect", office.connect_bank),
    path("<slug:slug>/bank/back", office.bank_back),
    path("<slug:slug>/bank/read", office.read_account),
    path("<slug:slug>/orders/", office.orders),
    path("<slug:slug>/orders/import", office.import_orders),
    path("<slug:slug>/messages/", office.messages),
    path("<slug:slug>/messages/draft", office.draft_reply),
]

handler404 = views.not_found_page
handler500 = views.error_page
